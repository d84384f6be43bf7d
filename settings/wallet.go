package settings

import (
	"reflect"
	"slices"
	"strings"
)

// walletKinds are the ways to name a wallet, of which one counts. A raw key may be taken
// in place of a keystore.
func walletKinds(of string) [][]string {
	kinds := [][]string{{of + ".keystore", of + ".allow-raw-key"}, {of + ".clef"}, {of + ".kms"}}
	if of == "wallet" { // a contract sends nothing
		kinds = append(kinds, []string{of + ".safe"})
	}
	return kinds
}

// wallets are the keys below which wallets are named.
func wallets() []string { return []string{"wallet", "wallet.payer"} }

// layer reads one source over those below it. A wallet of another kind than theirs takes
// its place, as a value does that of the same key.
func (c *Checker) layer(read func()) {
	below := map[string]string{}
	for _, of := range wallets() {
		for _, key := range slices.Concat(walletKinds(of)...) {
			below[key] = c.places[key]
			delete(c.places, key)
		}
	}
	read()
	for _, of := range wallets() {
		c.replace(of, below)
	}
}

// replace has what is below a source count where the source names no wallet of another kind.
func (c *Checker) replace(of string, below map[string]string) {
	var chosen [][]string
	for _, kind := range walletKinds(of) {
		if slices.ContainsFunc(kind, func(key string) bool { return c.places[key] != "" && !c.Settings.Wallet.at(key).IsZero() }) {
			chosen = append(chosen, kind)
		}
	}
	for _, key := range slices.Concat(walletKinds(of)...) {
		switch stays := chosen == nil || slices.ContainsFunc(chosen, func(kind []string) bool { return slices.Contains(kind, key) }); {
		case c.places[key] != "":
		case stays && below[key] != "":
			c.places[key] = below[key]
		case !stays:
			c.Settings.Wallet.at(key).SetZero()
			c.forget(key)
		}
	}
}

// at is the setting of a key that names a wallet.
func (w *Wallet) at(key string) reflect.Value {
	of, form := reflect.ValueOf(w).Elem(), strings.TrimPrefix(key, "wallet.")
	if rest, payer := strings.CutPrefix(form, "payer."); payer {
		of, form = of.FieldByName("Payer"), rest
	}
	return of.FieldByName(map[string]string{"keystore": "Keystore", "allow-raw-key": "AllowRawKey", "clef": "Clef", "kms": "KMS", "safe": "Safe"}[form])
}
