# Certificates of authorities, on 2 January 2026.
proxy {
  https_proxy = "http://proxy:3128"
  ca_certificates = [
    file("ca/valid.pem"),
    file("ca/expired.pem"), # ERROR Invalid ca_certificates: The certificate of "CN=Old Corp CA" expired on 2020-01-01; give its successor.
    file("ca/future.pem"), # ERROR Invalid ca_certificates: The certificate of "CN=New Corp CA" is not valid before 2100-01-01; give the one in use, and look at this machine's clock.
    file("ca/leaf.pem"), # ERROR Invalid ca_certificates: The certificate of "CN=proxy.example.com" is not one of a certificate authority; give that of its issuer "CN=proxy.example.com".
    file("ca/key.pem"), # ERROR Invalid ca_certificates: The PEM text holds a private key, which must never leave its owner; give the certificate alone.
    "${file("ca/valid.pem")}${file("ca/expired.pem")}", # ERROR Invalid ca_certificates: The certificate of "CN=Old Corp CA" expired on 2020-01-01; give its successor.
  ]
}
registry "registry.example.com:5000" { ca = file("ca/valid.pem") }
registry "registry.example.com:5001" { ca = file("ca/missing.pem") } # ERROR Invalid function argument: Invalid value for "str" parameter: "ca/missing.pem" cannot be read: no such file or directory; relative paths start from the inventory's folder.
host "a" {}
