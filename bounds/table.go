package bounds

import (
	"fmt"
	"time"
)

// Bound is a bound as it is told: SECURITY.md has the table of [All].
type Bound struct{ What, Most string }

// All returns the bounds, in the order of SECURITY.md.
func All() []Bound {
	return []Bound{
		{"a `mrelease.yaml`", fmt.Sprintf("%s, %d lists and mappings within each other", Bytes(Config), ConfigDepth)},
		{"a record", Bytes(Record)},
		{"a plan to apply", Bytes(Plan)},
		{"an `enclave.lock`", Bytes(Lock)},
		{"a key file, a keystore file", Bytes(Key)},
		{"a trusted root of Sigstore", Bytes(TrustedRoot)},
		{"an `iexec.json`, and each file beside it", Bytes(Project)},
		{"the event of a job of GitHub", Bytes(Event)},
		{"a file with registries' credentials", Bytes(Docker)},
		{"a Dockerfile, a `.dockerignore`", Bytes(Dockerfile)},
		{"a build's secret", Bytes(Secret)},
		{"what a scanner lists of an image, and the time for it", fmt.Sprintf("%s, %d values, %d members of an object, %s", Bytes(SBOM), SBOMValues, SBOMMembers, said(Scan))},
		{"a VEX document", Bytes(VEX)},
		{"what a registry keeps of builds' steps", fmt.Sprintf("%d layers, %s of all, %s of one without its compression", StepLayers, Bytes(Steps), Bytes(StepContent))},
		{"any JSON document of these, of a market and of a registry", fmt.Sprintf("%d values, %d objects and arrays within each other", Values, Depth)},
		{"scrypt of a keystore", fmt.Sprintf("%s of memory (128·r·(n+p)), %s gone through (128·n·r·p)", Bytes(KeyMemory), Bytes(KeyWork))},
		{"PBKDF2 of a keystore", fmt.Sprintf("%d rounds for all blocks together", KeyRounds)},
		{"the key derived from a keystore's password", Bytes(KeyLength)},
		{"an RSA key that signs images", fmt.Sprintf("%d bits", RSA)},
		{"a node's answer", Bytes(RPCAnswer)},
		{"a proof of what a chain stores", fmt.Sprintf("a header of %s, %d words of a contract, %d nodes of %s each for a word, a text of %s", Bytes(Header), Slots, ProofNodes, Bytes(ProofNode), Bytes(ProofText))},
		{"a file of what a verification was told", fmt.Sprintf("%s, %d answers of %s each, %s together", Bytes(Evidence), Answers, Bytes(KeptAnswer), Bytes(Kept))},
		{"a market's answer", Bytes(MarketAnswer)},
		{"the secret service's answer, and a secret of an app or a requester", Bytes(SecretAnswer) + ", " + fmt.Sprint(RequesterSecret) + " bytes"},
		{"a registry's answer that is no blob: a manifest, a list of referrers, a token", Bytes(Manifest)},
		{"an image's config", Bytes(ImageConfig)},
		{"an answer that is an error", Bytes(ErrorBody) + ", the rest is left out"},
		{"a bundle with a signature or attestation", Bytes(Bundle)},
		{"referrers of an image that are read", fmt.Sprint(Referrers)},
		{"records beside an image that are read, whoever wrote them", fmt.Sprint(Documents)},
		{"pages of a registry's list of referrers or tags", fmt.Sprint(Pages)},
		{"apps of an owner that are looked at for a release by its version, open orders of a wallet", fmt.Sprintf("%d, %d", Apps, Orders)},
		{"apps of an owner that are verified in one call, and the time for each, unless its layers are read", fmt.Sprintf("%d, %s", Fleet, said(OneOfFleet))},
		{"runs of a deal, deals of a request", fmt.Sprintf("%d, %d", Runs, Deals)},
		{"a result of a run", fmt.Sprintf("%s encrypted, %s in %d files and folders decrypted (`--limit`), %s and %s of the archives' directories", Bytes(Result), Bytes(ResultContent), ResultFiles, Bytes(ResultDirectory), Bytes(ResultNames))},
		{"what a canary's run and its judge printed", Bytes(Printed) + ", the last ones are shown"},
		{"what a gateway of IPFS is asked for to check a result", fmt.Sprintf("%d blocks of %s", Blocks, Bytes(Block))},
		{"an answer of git's program", fmt.Sprintf("%s, %s", Bytes(GitOutput), said(GitTime))},
		{"an ignore file or configuration of git, without git's program", Bytes(GitFile)},
		{"tracked files that are searched for keys", fmt.Sprint(Tracked)},
		{"submodules that are looked into", fmt.Sprint(GitNested)},
		{"an external signer's answer, and the wait for it", Bytes(SignerAnswer) + ", " + said(Approval)},
		{"an answer of a cloud's key service, and a request to it, with all of its tries", Bytes(KeyServiceAnswer) + ", " + said(KeyService)},
		{"a request to node or market, with all of its tries", said(Request)},
		{"the waits for it, where node or market say when to ask again (`Retry-After`)", said(Throttled)},
		{"the tries of a service that signing by identity needs", said(Sigstore)},
		{"a registry's answer that is no blob, and the head of any", said(Answer)},
		{"a blob, sent or received", fmt.Sprintf("at least %s a second, on average over %s in which the registry is waited for", Bytes(RateFloor), said(RateWindow))},
		{"a check of a record, a push, a comparison, accepting an image", said(Act)},
	}
}

// said writes a time in its largest whole unit.
func said(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}} {
		if d >= unit.size && d%unit.size == 0 {
			return fmt.Sprintf("%d %s", d/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
