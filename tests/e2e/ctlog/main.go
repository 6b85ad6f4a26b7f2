// Command ctlog answers RFC 6962 add-pre-chain with a signed certificate timestamp.
//
// Fulcio hands every certificate it is about to issue to a certificate transparency log and embeds the log's promise. No CT log
// installs from a package registry, so this stands in for one. The promise is real: an ECDSA signature over the precertificate's
// TBS without its poison extension and the issuer's key hash (RFC 6962, section 3.2), so that SCT checking stays on everywhere.
// What is missing is the log itself: nothing is kept, and there is no tree to ask for a proof.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	stdx509 "crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	"github.com/google/certificate-transparency-go/x509"
)

const maxRequest = 1 << 20

type signer struct {
	key   *ecdsa.PrivateKey
	id    [sha256.Size]byte
	roots map[[sha256.Size]byte]bool
}

func newSigner(keyFile, rootsFile string) (*signer, error) {
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block", keyFile)
	}
	parsed, err := stdx509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: want an ECDSA key, found %T", keyFile, parsed)
	}
	spki, err := stdx509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	s := &signer{key: key, id: sha256.Sum256(spki), roots: map[[sha256.Size]byte]bool{}}
	rest, err := os.ReadFile(rootsFile)
	if err != nil {
		return nil, err
	}
	for {
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		s.roots[sha256.Sum256(block.Bytes)] = true
	}
	if len(s.roots) == 0 {
		return nil, fmt.Errorf("%s: no root certificate", rootsFile)
	}
	return s, nil
}

// chain parses what was submitted and checks that an accepted root stands at its end, each certificate signing the one before.
func (s *signer) chain(submitted [][]byte) ([]*x509.Certificate, error) {
	if len(submitted) < 2 {
		return nil, errors.New("want the precertificate and its issuers")
	}
	var chain []*x509.Certificate
	for _, der := range submitted {
		certificate, err := x509.ParseCertificate(der)
		if x509.IsFatal(err) {
			return nil, err
		}
		chain = append(chain, certificate)
	}
	for i, certificate := range chain[:len(chain)-1] {
		if err := certificate.CheckSignatureFrom(chain[i+1]); err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i, err)
		}
	}
	if !s.roots[sha256.Sum256(chain[len(chain)-1].Raw)] {
		return nil, errors.New("the chain does not end in an accepted root")
	}
	if !chain[0].IsPrecertificate() {
		return nil, errors.New("the first certificate carries no poison extension")
	}
	return chain, nil
}

// promise signs the SCT for the precertificate at the head of chain.
func (s *signer) promise(chain []*x509.Certificate, now time.Time) (*ct.AddChainResponse, error) {
	millis := uint64(now.UnixMilli())
	leaf, err := ct.MerkleTreeLeafFromChain(chain, ct.PrecertLogEntryType, millis)
	if err != nil {
		return nil, err
	}
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: s.id}, Timestamp: millis}
	input, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		return nil, err
	}
	signature, err := tls.CreateSignature(crypto.PrivateKey(*s.key), tls.SHA256, input)
	if err != nil {
		return nil, err
	}
	encoded, err := tls.Marshal(signature)
	if err != nil {
		return nil, err
	}
	return &ct.AddChainResponse{SCTVersion: ct.V1, ID: s.id[:], Timestamp: millis, Signature: encoded}, nil
}

func (s *signer) addPreChain(w http.ResponseWriter, r *http.Request) {
	var request ct.AddChainRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	chain, err := s.chain(request.Chain)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	response, err := s.promise(chain, time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(response); err != nil {
		log.Print(err)
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:6962", "address to listen on")
	key := flag.String("key", "", "the log's ECDSA key, PKCS #8 PEM")
	roots := flag.String("roots", "", "PEM file of the roots accepted")
	flag.Parse()
	s, err := newSigner(*key, *roots)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /ct/v1/add-pre-chain", s.addPreChain)
	server := &http.Server{Addr: *listen, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}
