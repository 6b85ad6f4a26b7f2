module pullgate.test/ctlog

go 1.26.8

require github.com/google/certificate-transparency-go v1.3.2

require golang.org/x/crypto v0.38.0 // indirect
