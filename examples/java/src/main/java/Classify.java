import com.google.protobuf.ByteString;
import digits.v1.ClassifyRequest;
import digits.v1.DigitsServiceGrpc;
import digits.v1.Prediction;
import digits.v1.ReadRequest;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** Classifies and reads pictures: mvn compile exec:java -Dexec.args="HOST:PORT PICTURE SHEET". */
public final class Classify {
  public static void main(String[] arguments) throws Exception {
    String[] given = {"localhost:8001", "../../tests/data/images/seven.png", "../../tests/data/several.png"};
    System.arraycopy(arguments, 0, given, 0, arguments.length);
    ManagedChannel channel = Grpc.newChannelBuilder(given[0], InsecureChannelCredentials.create()).build();
    try {
      var client = DigitsServiceGrpc.newBlockingStub(channel).withDeadlineAfter(10, TimeUnit.SECONDS);
      var picture = ByteString.copyFrom(Files.readAllBytes(Path.of(given[1])));
      var answer = client.classify(ClassifyRequest.newBuilder().addEncodedImages(picture).build());
      Prediction prediction = answer.getPredictions(0);
      System.out.printf("%d with a score of %.3f by %s%n", prediction.getDigit(),
          prediction.getScores(prediction.getDigit()), answer.getModel().getName());

      var sheet = ByteString.copyFrom(Files.readAllBytes(Path.of(given[2])));
      System.out.println("read: " + client.read(ReadRequest.newBuilder().setEncodedImage(sheet).build()).getText());
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }
}
