module wavegate.dev/sdk

go 1.24
