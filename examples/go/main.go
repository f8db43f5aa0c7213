// Classifies and reads pictures: go run . [HOST:PORT [PICTURE [SHEET]]]
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	digits "digits.example/go/digits/v1"
)

func main() {
	arguments := append(os.Args[1:], []string{"localhost:8001", "../../tests/data/images/seven.png", "../../tests/data/several.png"}[len(os.Args)-1:]...)
	connection, err := grpc.NewClient(arguments[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	defer connection.Close()
	client := digits.NewDigitsServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	picture, err := os.ReadFile(arguments[1])
	check(err)
	answer, err := client.Classify(ctx, &digits.ClassifyRequest{EncodedImages: [][]byte{picture}})
	check(err)
	prediction := answer.Predictions[0]
	fmt.Printf("%d with a score of %.3f by %s\n", prediction.Digit, prediction.Scores[prediction.Digit], answer.Model.Name)

	sheet, err := os.ReadFile(arguments[2])
	check(err)
	reading, err := client.Read(ctx, &digits.ReadRequest{EncodedImage: sheet})
	check(err)
	fmt.Println("read:", reading.Text)
}

func check(err error) {
	if err != nil {
		log.Fatal(err) // of a call: the status with its code and sentence
	}
}
