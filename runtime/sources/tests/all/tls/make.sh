#!/bin/sh
# Makes the certificates of the tests anew: ./make.sh, in this folder. They are valid for 100 years
# and protect nothing.
set -eu
work=$(mktemp -d)
here=$(pwd)
cd "$work"
mkdir new && : > index && echo 01 > serial
cat > ca.cnf <<'CNF'
[ca]
default_ca = own
[own]
new_certs_dir = new
database = index
serial = serial
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
extendedKeyUsage = serverAuth
[client]
basicConstraints = CA:FALSE
subjectAltName = DNS:wavegate
extendedKeyUsage = clientAuth
CNF
key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
    openssl req -new -key "$1.key" -subj "/CN=wavegate test $1" -out "$1.csr"
}
sign() { # name, extensions, more
    name=$1 extensions=$2
    shift 2
    openssl ca -batch -notext -config ca.cnf -extensions "$extensions" -in "$name.csr" \
        -startdate 20250101000000Z -enddate 21250101000000Z -out "$name.pem" "$@"
}
for name in authority stranger server client; do key "$name"; done
sign authority authority -selfsign -keyfile authority.key
sign stranger authority -selfsign -keyfile stranger.key
sign server server -cert authority.pem -keyfile authority.key
sign client client -cert authority.pem -keyfile authority.key
cp authority.pem stranger.pem server.pem server.key client.pem client.key "$here"
rm -r "$work"
