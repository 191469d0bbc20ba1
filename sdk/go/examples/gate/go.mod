module ceiling

go 1.24

require wavegate.dev/sdk v0.1.0

replace wavegate.dev/sdk => ../..
