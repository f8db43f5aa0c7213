//! Makes the client from the proto file. PROTOC and GOOGLE as ../README.md says.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let google = std::env::var("GOOGLE").map_err(|_| "set GOOGLE to the folder with google/rpc/status.proto")?;
    tonic_build::configure()
        .build_server(false)
        .compile_protos(&["../../proto/digits/v1/digits.proto"], &["../../proto", &google])?;
    Ok(())
}
