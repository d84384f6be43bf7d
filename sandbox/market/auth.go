package market

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"github.com/mrelease/mrelease/node"
)

// challenge hands out the text that an address signs to log in. Until the
// address has used it, everybody who asks for the address gets the same one.
func (s *Server) challenge(r *http.Request) (object, error) {
	q := r.URL.Query()
	b, err := s.book(q)
	if err != nil {
		return nil, err
	}
	if !q.Has("address") {
		return nil, required("address")
	}
	address, err := parseAddress("address", q.Get("address"))
	if err != nil {
		return nil, err
	}
	owner := common.HexToAddress(address)
	if b.challenges[owner] == "" {
		b.challenges[owner] = "Sign this message to log into iExec Gateway: " + (rand.Text() + rand.Text())[:32]
	}
	return object{{"data", typedChallenge(q.Get("chainId"), b.challenges[owner])}}, nil
}

// typedChallenge is the EIP-712 document that the client is asked to sign.
func typedChallenge(chainID, text string) object {
	field := func(name, typ string) object { return object{{"name", name}, {"type", typ}} }
	return object{
		{"types", object{
			{"EIP712Domain", []object{field("name", "string"), field("version", "string"), field("chainId", "uint256")}},
			{"Challenge", []object{field("challenge", "string")}},
		}},
		{"domain", object{{"name", "iExec Gateway"}, {"version", "1"}, {"chainId", chainID}}},
		{"primaryType", "Challenge"},
		{"message", object{{"challenge", text}}},
	}
}

func challengeHash(chainID uint64, text string) (common.Hash, error) {
	hash, _, err := apitypes.TypedDataAndHash(apitypes.TypedData{
		Types: apitypes.Types{
			"EIP712Domain": {{Name: "name", Type: "string"}, {Name: "version", Type: "string"}, {Name: "chainId", Type: "uint256"}},
			"Challenge":    {{Name: "challenge", Type: "string"}},
		},
		PrimaryType: "Challenge",
		Domain:      apitypes.TypedDataDomain{Name: "iExec Gateway", Version: "1", ChainId: math.NewHexOrDecimal256(int64(chainID))},
		Message:     apitypes.TypedDataMessage{"challenge": text},
	})
	return common.BytesToHash(hash), err
}

// authorize returns the address that a request was made by, and takes its
// challenge away. Whatever is wrong, the answer is the same.
func (b *book) authorize(header string) (common.Address, error) {
	address, err := b.checkAuthorization(header)
	if err != nil {
		return common.Address{}, forbidden("invalid authorization")
	}
	delete(b.challenges, address)
	return address, nil
}

// checkAuthorization reads <hash>_<signature>_<address>.
func (b *book) checkAuthorization(header string) (common.Address, error) {
	parts := strings.Split(header, "_")
	if len(parts) != 3 || !common.IsHexAddress(parts[2]) {
		return common.Address{}, fmt.Errorf("reading authorization: want hash_signature_address")
	}
	address := common.HexToAddress(parts[2])
	hash, err := challengeHash(b.id, b.challenges[address])
	if err != nil {
		return common.Address{}, err
	}
	if b.challenges[address] == "" || parts[0] != hash.Hex() {
		return common.Address{}, fmt.Errorf("checking authorization: %s is not the challenge of %s", parts[0], address)
	}
	digits, ok := strings.CutPrefix(parts[1], "0x")
	signature, err := hex.DecodeString(digits)
	if err != nil || !ok {
		return common.Address{}, fmt.Errorf("reading signature: want 0x and hex digits, got %q", parts[1])
	}
	signer, err := node.RecoverSigner(hash, signature)
	if err == nil && signer != address {
		err = fmt.Errorf("checking authorization: signed by %s, not by %s", signer, address)
	}
	return address, err
}
