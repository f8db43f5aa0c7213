//! Classifies and reads pictures: cargo run [HOST:PORT [PICTURE [SHEET]]]

mod google {
    pub mod rpc {
        tonic::include_proto!("google.rpc");
    }
}
mod digits {
    pub mod v1 {
        tonic::include_proto!("digits.v1");
    }
}

use digits::v1::{digits_service_client::DigitsServiceClient, ClassifyRequest, ReadRequest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize, default: &str| given.get(index).cloned().unwrap_or(default.to_string());
    let mut client = DigitsServiceClient::connect(format!("http://{}", argument(0, "localhost:8001"))).await?;

    let picture = std::fs::read(argument(1, "../../tests/data/images/seven.png"))?;
    let request = ClassifyRequest { encoded_images: vec![picture.into()], ..Default::default() };
    let answer = client.classify(request).await?.into_inner();
    let prediction = &answer.predictions[0];
    let score = prediction.scores[prediction.digit as usize];
    println!("{} with a score of {score:.3} by {}", prediction.digit, answer.model.unwrap_or_default().name);

    let sheet = std::fs::read(argument(2, "../../tests/data/several.png"))?;
    let request = ReadRequest { encoded_image: sheet.into(), ..Default::default() };
    println!("read: {}", client.read(request).await?.into_inner().text);
    Ok(())
}
