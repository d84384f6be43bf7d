package poco

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"reflect"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
)

// Type strings of EIP-712. The order's stands in IexecLibOrders_v5, the
// challenge's in the typed data that the market serves.
const (
	domainType          = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
	challengeDomainType = "EIP712Domain(string name,string version,uint256 chainId)"
	challengeType       = "Challenge(string challenge)"
	appOrderType        = "AppOrder(address app,uint256 appprice,uint256 volume,bytes32 tag,address datasetrestrict,address workerpoolrestrict,address requesterrestrict,bytes32 salt)"
	datasetOrderType    = "DatasetOrder(address dataset,uint256 datasetprice,uint256 volume,bytes32 tag,address apprestrict,address workerpoolrestrict,address requesterrestrict,bytes32 salt)"
	workerpoolOrderType = "WorkerpoolOrder(address workerpool,uint256 workerpoolprice,uint256 volume,bytes32 tag,uint256 category,uint256 trust,address apprestrict,address datasetrestrict,address requesterrestrict,bytes32 salt)"
	requestOrderType    = "RequestOrder(address app,uint256 appmaxprice,address dataset,uint256 datasetmaxprice,address workerpool,uint256 workerpoolmaxprice,address requester,uint256 volume,bytes32 tag,uint256 category,uint256 trust,address beneficiary,address callback,string params,bytes32 salt)"
)

// Domain is the part of an EIP-712 domain in which one deployment of the
// protocol differs from another.
type Domain struct {
	ChainID uint64
	Hub     common.Address
}

// Name and Version are the constant parts of the domain, as the hub's domain()
// returns them.
const (
	DomainName    = "iExecODB"
	DomainVersion = "5.0.0"
)

// Separator returns the domain separator, the hub's eip712domain_separator().
func (d Domain) Separator() common.Hash {
	return hashStruct(domainType, hashString(DomainName), hashString(DomainVersion), uint64Word(d.ChainID), addressWord(d.Hub))
}

func (d Domain) digest(structHash common.Hash) common.Hash {
	return typedDataDigest(d.Separator(), structHash)
}

// typedData is what a wallet is shown of an order that it signs: amounts as decimal
// strings, all else as in JSON; [apitypes.TypedDataAndHash] makes the order's hash of it.
func (d Domain) typedData(typ string, members any) apitypes.TypedData {
	message := apitypes.TypedDataMessage{}
	for name, field := range fields(reflect.ValueOf(members)) {
		if name != "sign" {
			message[name] = fmt.Sprint(written(field.Interface()))
		}
	}
	return typedData(apitypes.TypedDataDomain{
		Name: DomainName, Version: DomainVersion, ChainId: chainNumber(d.ChainID), VerifyingContract: d.Hub.Hex(),
	}, domainType, typ, message)
}

func typedData(domain apitypes.TypedDataDomain, domainTyp, typ string, message apitypes.TypedDataMessage) apitypes.TypedData {
	_, domainMembers := members(domainTyp)
	primary, itsMembers := members(typ)
	types := apitypes.Types{"EIP712Domain": domainMembers, primary: itsMembers}
	return apitypes.TypedData{Types: types, PrimaryType: primary, Domain: domain, Message: message}
}

// members takes a type string apart.
func members(typ string) (name string, all []apitypes.Type) {
	name, list, _ := strings.Cut(strings.TrimSuffix(typ, ")"), "(")
	for member := range strings.SplitSeq(list, ",") {
		of, called, _ := strings.Cut(member, " ")
		all = append(all, apitypes.Type{Name: called, Type: of})
	}
	return name, all
}

func chainNumber(id uint64) *math.HexOrDecimal256 {
	return (*math.HexOrDecimal256)(new(big.Int).SetUint64(id))
}

// The domain in which an address logs into the market; it names no contract.
const (
	gatewayName    = "iExec Gateway"
	gatewayVersion = "1"
)

// Challenge returns what an address signs to log into the market: {challenge: text}.
func Challenge(chainID uint64, text string) apitypes.TypedData {
	domain := apitypes.TypedDataDomain{Name: gatewayName, Version: gatewayVersion, ChainId: chainNumber(chainID)}
	return typedData(domain, challengeDomainType, challengeType, apitypes.TypedDataMessage{"challenge": text})
}

// ChallengeHash returns the digest of the challenge, by which the market names it.
func ChallengeHash(chainID uint64, text string) common.Hash {
	domain := hashStruct(challengeDomainType, hashString(gatewayName), hashString(gatewayVersion), uint64Word(chainID))
	return typedDataDigest(domain, hashStruct(challengeType, hashString(text)))
}

func typedDataDigest(domain, structHash common.Hash) common.Hash {
	return crypto.Keccak256Hash([]byte{0x19, 0x01}, domain[:], structHash[:])
}

func hashStruct(typ string, words ...common.Hash) common.Hash {
	data := hashString(typ).Bytes()
	for _, w := range words {
		data = append(data, w[:]...)
	}
	return crypto.Keccak256Hash(data)
}

func hashString(s string) common.Hash { return crypto.Keccak256Hash([]byte(s)) }

func addressWord(a common.Address) common.Hash { return common.BytesToHash(a[:]) }

func uint64Word(n uint64) (w common.Hash) {
	binary.BigEndian.PutUint64(w[24:], n)
	return w
}
