// Package bounds is how much mrelease takes from outside: of files that somebody
// else may have written, and of services that somebody else runs. Nothing is read
// beyond a bound; what is larger is an error that names the bound.
//
// All are in this file, and [All] tells them as SECURITY.md does. What bounds the
// containers that a build or a measurement starts is theirs: package
// buildkit/engine.
package bounds

import "time"

// Files.
const (
	Config      = 64 << 10 // bytes of a mrelease.yaml
	ConfigDepth = 32       // lists and mappings within each other; mrelease's own keys need 5
	Record      = 4 << 20  // bytes; a record with 10,000 materials has 2 MB
	Plan        = 4 << 20  // bytes of a plan to apply; one that retires 1,000 orders has 1 MB
	Lock        = 4 << 20  // bytes of an enclave.lock; a large image's has 100 KB
	Key         = 64 << 10 // bytes of a key file: an RSA key of 16,384 bits has 13 KB
	TrustedRoot = 1 << 20  // bytes of a trusted root; that of Sigstore's public instance has 7 KB
	Project     = 1 << 20  // bytes of an iexec.json, and of each file beside it
	Event       = 25 << 20 // bytes of the event of a job of GitHub, which sends no larger one
	Docker      = 1 << 20  // bytes of Docker's config.json
	Dockerfile  = 1 << 20  // bytes of a Dockerfile, and of a .dockerignore
	Secret      = 500_000  // bytes of a build's secret: BuildKit's own bound
	// RequesterSecret is what iExec's secret service takes, in bytes.
	RequesterSecret = 4096
	Values          = 100_000 // values in a JSON document
	Depth           = 64      // objects and arrays within each other in a JSON document
)

// What a scanner lists of an image, and what is said of its vulnerabilities. A bundle with it
// has a third more, and what JSON escapes.
const (
	SBOM        = 8 << 20          // bytes of it
	SBOMValues  = 1_000_000        // values in it
	SBOMMembers = 1_000            // members of an object in it; SPDX has 30
	Scan        = 30 * time.Minute // for a scan
	VEX         = 1 << 20          // bytes of a VEX document; one with 1,000 statements has 400 KB
)

// What steps of builds made, as a registry keeps it.
const (
	Steps       = 8 << 30  // bytes of all layers together
	StepContent = 32 << 30 // bytes of a layer without its compression
	StepLayers  = 1_000
)

// Keys that are opened with a password. What iexec, geth and cosign write takes
// 128 MiB, 256 MiB and 64 MiB.
const (
	KeyMemory = 1 << 30    // bytes: scrypt's 128·N·r
	KeyWork   = 1 << 32    // bytes that scrypt goes through: 128·N·r·p
	KeyRounds = 10_000_000 // of PBKDF2; OWASP asks for 600,000
	KeyLength = 1 << 10    // bytes derived
	RSA       = 16_384     // bits of an RSA key
)

// Answers of services.
const (
	RPCAnswer        = 1 << 20  // bytes of a node's answer; code of a contract has 49 KB
	MarketAnswer     = 1 << 20  // bytes of a market's answer; an order has 2 KB
	SecretAnswer     = 4 << 10  // bytes of the secret service's answer, which has a sentence
	SignerAnswer     = 1 << 20  // bytes of an external signer's answer, which repeats the transaction
	KeyServiceAnswer = 64 << 10 // bytes of an answer of a cloud's key service; a signature has 300
	Manifest         = 4 << 20  // bytes: what registries take, and all that is neither blob nor error
	ImageConfig      = 1 << 20  // bytes of an image's config
	ErrorBody        = 4 << 10  // bytes of an answer that is an error; the rest is left out
	Bundle           = 16 << 20 // bytes of a signature or attestation; one with an SBOM is the largest
	Referrers        = 1_000    // statements about an image that are read
	Documents        = 100      // records beside an image that are read; a release has one for each order
	Pages            = 100      // of a registry's list, which each answer goes on with a link
)

// Proofs of what a chain stores. A node of a trie has 532 bytes at most where what is stored
// is a word or an account, and 64 levels.
const (
	Header     = 8 << 10 // bytes of a block's header; Ethereum's have 700
	ProofNode  = 1 << 10 // bytes of a node
	ProofNodes = 64      // of one proof
	ProofText  = 4 << 10 // bytes of a text that is stored: an app's multiaddr, or what it says of its enclave
	Slots      = 500     // words of a contract that are proven
)

// A file of what a verification was told.
const (
	Evidence   = 32 << 20 // bytes of it
	Kept       = 16 << 20 // bytes of all answers in it
	KeptAnswer = 4 << 20  // bytes of an answer: larger ones are layers
	Answers    = 5_000    // in it
)

// What an owner or a requester has on a chain and its market.
const (
	Apps   = 1_000  // apps of an owner that are looked at for a release, the newest first
	Fleet  = 10_000 // apps of an owner that are verified in one call, the newest first
	Orders = 1_000  // open orders of a wallet that are looked at; iExec's market takes 50
	Runs   = 1_000  // runs of a deal
	Deals  = 100    // deals that were made of a request
)

// Results of runs, which whoever ran them has written. iExec's command line takes as
// much.
const (
	Result          = 1_000_000_000 // bytes of one, encrypted
	ResultContent   = 4 << 30       // bytes of its files together, unless another number is asked for
	ResultFiles     = 20_000        // files and folders in it
	ResultDirectory = 64 << 10      // bytes of the directory of the encrypted archive, which has two entries
	ResultNames     = 2 << 20       // bytes of the directory of the decrypted one
	Printed         = 16 << 10      // bytes of what a run, or who judges it, printed, that are shown: the last ones
	Block           = 2 << 20       // bytes of a block of IPFS, as its nodes bound them
	Blocks          = 1_000         // blocks that link to others: each has the links to 45 MB of a file
)

// Git's own program, which reads a repository that somebody else may have made.
const (
	GitOutput = 64 << 20        // bytes of an answer: a list of 600,000 files
	GitTime   = 2 * time.Minute // for one answer
	GitFile   = 1 << 20         // bytes of an ignore file or a configuration, read without the program
	Tracked   = 20_000          // files of a repository that are searched for keys
	GitNested = 200             // submodules that are looked into, of all depths
)

// Time. A blob may be large, and a network slow; but not without end.
const (
	RateFloor  = 8 << 10          // bytes a second of a blob, on average over RateWindow
	RateWindow = 30 * time.Second // without, or with too little, coming
	Answer     = 2 * time.Minute  // for the head of an answer, and again for all of one that is no blob
	Act        = time.Hour        // for one check of a record, one push, one comparison, and accepting an image
	OneOfFleet = 2 * time.Minute  // for one of many apps that are verified in one call
	Request    = 45 * time.Second // for a request to node or market, with all of its tries
	Approval   = 10 * time.Minute // for a person to approve what an external signer signs
	KeyService = 45 * time.Second // for a request to a cloud's key service, with all of its tries
	Sigstore   = 10 * time.Minute // for which a service that signing needs is tried again
	Throttled  = 4 * Request      // waited in all, where a node or market says when to ask again; iExec's market counts a minute
)
