package settings

import "slices"

// walletKinds are the ways to name a wallet, of which one counts. A raw key may be taken
// in place of a keystore.
func walletKinds() [][]string {
	return [][]string{{"wallet.keystore", "wallet.allow-raw-key"}, {"wallet.clef"}, {"wallet.kms"}}
}

// layer reads one source over those below it. A wallet of another kind than theirs takes
// its place, as a value does that of the same key.
func (c *Checker) layer(read func()) {
	below := map[string]string{}
	for _, key := range slices.Concat(walletKinds()...) {
		below[key] = c.places[key]
		delete(c.places, key)
	}
	read()
	var chosen [][]string
	for _, kind := range walletKinds() {
		if slices.ContainsFunc(kind, func(key string) bool { return c.places[key] != "" && c.Settings.Wallet.names(key) }) {
			chosen = append(chosen, kind)
		}
	}
	for key, where := range below {
		switch stays := chosen == nil || slices.ContainsFunc(chosen, func(kind []string) bool { return slices.Contains(kind, key) }); {
		case c.places[key] != "":
		case stays && where != "":
			c.places[key] = where
		case !stays:
			c.Settings.Wallet.forget(key)
			c.forget(key)
		}
	}
}

// names reports whether a key names a wallet.
func (w Wallet) names(key string) bool {
	switch key {
	case "wallet.keystore":
		return w.Keystore != ""
	case "wallet.clef":
		return w.Clef != ""
	case "wallet.kms":
		return w.KMS.IsSet()
	}
	return w.AllowRawKey
}

// forget has a key name no wallet.
func (w *Wallet) forget(key string) {
	switch key {
	case "wallet.keystore":
		w.Keystore = ""
	case "wallet.clef":
		w.Clef = ""
	case "wallet.kms":
		w.KMS = KMSKey{}
	default:
		w.AllowRawKey = false
	}
}
