#!/bin/sh
# Makes digits/v1/*.go from the proto file: sh generate.sh. PROTOC and GOOGLE as README.md says.
set -eu
cd "$(dirname "$0")"
GOBIN=$PWD/bin go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.6
GOBIN=$PWD/bin go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1
file=Mdigits/v1/digits.proto=digits.example/go/digits/v1
PATH=$PWD/bin:$PATH ${PROTOC:-protoc} -I ../../proto -I "$GOOGLE" \
  --go_out=. --go_opt=module=digits.example/go,$file --go-grpc_out=. --go-grpc_opt=module=digits.example/go,$file \
  digits/v1/digits.proto
