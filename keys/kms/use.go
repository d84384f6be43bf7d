package kms

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// use is what a key is for, and so on which curve it must be, as the services name it.
type use struct {
	aws    types.KeySpec
	google string // algorithm; what is signed is any 32 bytes, which Google calls a SHA-256
	extra  string // arguments of gcloud that such a key needs besides
}

// walletUse is a key on secp256k1, as chains want it. Google keeps such in its HSMs alone.
func walletUse() use {
	return use{aws: types.KeySpecEccSecgP256k1, google: "EC_SIGN_SECP256K1_SHA256", extra: " --protection-level hsm"}
}

// imageUse is a key on P-256, which signs a SHA-256: what cosign makes, and verifies without
// being told more.
func imageUse() use {
	return use{aws: types.KeySpecEccNistP256, google: "EC_SIGN_P256_SHA256"}
}

// awsAdvice and googleAdvice say how such a key is made.
func (u use) awsAdvice() string {
	return "name a key that was made with --key-spec " + string(u.aws) + " --key-usage SIGN_VERIFY"
}

func (u use) googleAdvice() string {
	return "name a key that was made with --purpose asymmetric-signing --default-algorithm " + strings.ReplaceAll(strings.ToLower(u.google), "_", "-") + u.extra
}
