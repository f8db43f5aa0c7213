// Calls ModelReady, ModelInfer and ModelStreamInfer with stubs made from the proto files alone:
// `go_client ADDRESS PIXELS`, where the file PIXELS has images of 784 bytes each. Prints what came back as JSON.
package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"digits.test/go_client/inference"
)

const (
	model    = "mnist-16x16"
	features = 784
)

func request(id, model string, pixels []byte) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		Id:        id,
		ModelName: model,
		Inputs: []*inference.ModelInferRequest_InferInputTensor{{
			Name: "pixels", Datatype: "UINT8", Shape: []int64{int64(len(pixels) / features), features},
		}},
		RawInputContents: [][]byte{pixels},
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// stream sends the images one by one and returns how many answers came back in order.
func stream(ctx context.Context, client inference.GRPCInferenceServiceClient, pixels []byte) int {
	calls := must(client.ModelStreamInfer(ctx))
	count := len(pixels) / features
	go func() {
		for i := range count {
			if err := calls.Send(request(fmt.Sprint(i), model, pixels[i*features:(i+1)*features])); err != nil {
				log.Fatal(err)
			}
		}
		if err := calls.CloseSend(); err != nil {
			log.Fatal(err)
		}
	}()
	for i := range count {
		answer := must(calls.Recv())
		if answer.ErrorMessage != "" || answer.InferResponse.Id != fmt.Sprint(i) {
			log.Fatalf("answer %d: %v", i, answer)
		}
	}
	return count
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	connection := must(grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials())))
	defer connection.Close()
	client := inference.NewGRPCInferenceServiceClient(connection)
	pixels := must(os.ReadFile(os.Args[2]))

	ready := must(client.ModelReady(ctx, &inference.ModelReadyRequest{Name: model}))
	answer := must(client.ModelInfer(ctx, request("go", model, pixels)))
	var labels []int64
	for raw := answer.RawOutputContents[0]; len(raw) > 0; raw = raw[8:] {
		labels = append(labels, int64(binary.LittleEndian.Uint64(raw)))
	}
	_, unknown := client.ModelInfer(ctx, request("", "nobody", pixels))
	must(0, json.NewEncoder(os.Stdout).Encode(map[string]any{
		"labels":    labels,
		"scoresHex": hex.EncodeToString(answer.RawOutputContents[1]),
		"streamed":  stream(ctx, client, pixels),
		"ready":     ready.Ready,
		"unknown":   status.Code(unknown).String(),
	}))
}
