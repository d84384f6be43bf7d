package sigstore

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/go-openapi/runtime"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekor "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	hashedrekordv2 "github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"         // an entry that the log takes
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1" // likewise
	"github.com/sigstore/rekor/pkg/util"
	"github.com/sigstore/sigstore/pkg/signature"
	checkpoint "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
)

// transparency is a log of signatures: a Merkle tree (RFC 6962) in memory. What an entry
// is, and whether its signature is right, is judged by the real servers' own packages.
type transparency struct {
	key    *ecdsa.PrivateKey
	signer signature.Signer

	mu     sync.Mutex
	leaves [][]byte       // hashes
	bodies [][]byte       // of the first version's entries, to answer again
	times  []int64        // likewise
	seen   map[string]int // hash -> index
}

func newTransparency() (*transparency, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	signer, err := signature.LoadECDSASigner(key, crypto.SHA256)
	return &transparency{key: key, signer: signer, seen: map[string]int{}}, err
}

// add adds an entry, unless it is there.
func (t *transparency) add(body []byte) (index int, there bool) {
	hash := rfc6962.DefaultHasher.HashLeaf(body)
	if index, there = t.seen[string(hash)]; there {
		return index, true
	}
	t.seen[string(hash)] = len(t.leaves)
	t.leaves, t.bodies, t.times = append(t.leaves, hash), append(t.bodies, body), append(t.times, time.Now().Unix())
	return len(t.leaves) - 1, false
}

// rootOf is the root of a tree's leaves.
func rootOf(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := split(len(leaves))
	return rfc6962.DefaultHasher.HashChildren(rootOf(leaves[:k]), rootOf(leaves[k:]))
}

// pathOf is the proof that a leaf is in the tree.
func pathOf(leaves [][]byte, index int) [][]byte {
	if len(leaves) == 1 {
		return nil
	}
	k := split(len(leaves))
	if index < k {
		return append(pathOf(leaves[:k], index), rootOf(leaves[k:]))
	}
	return append(pathOf(leaves[k:], index-k), rootOf(leaves[:k]))
}

// split is the largest power of two below n.
func split(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

// serveV2 answers as Rekor's second version, which takes hashes only.
func (t *transparency) serveV2(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/api/v2/log/entries" {
		http.NotFound(w, r)
		return
	}
	refuse := func(status int, code codes.Code, err error) {
		answer(w, status, map[string]any{"code": code, "message": err.Error()})
	}
	body, err := canonicalV2(r)
	if err != nil {
		refuse(http.StatusBadRequest, codes.InvalidArgument, err)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	index, there := t.add(body)
	if there {
		refuse(http.StatusConflict, codes.AlreadyExists, fmt.Errorf("an equivalent entry already exists in the transparency log with index %d", index))
		return
	}
	origin, _, _ := strings.Cut(r.Host, ":") // of the log's URL, without the port, as verifiers have it
	entry, err := t.entryV2(origin, index)
	if err != nil {
		refuse(http.StatusInternalServerError, codes.Unknown, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(entry) // the client is gone
}

// canonicalV2 judges a request, and returns the entry that it asks for.
func canonicalV2(r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	var plain json.RawMessage
	if err := json.Unmarshal(raw, &plain); err != nil { // as the real server, which tells this error
		return nil, err
	}
	var asked rekor.CreateEntryRequest
	if err := protojson.Unmarshal(raw, &asked); err != nil {
		return nil, err
	}
	if asked.GetHashedRekordRequestV002() == nil {
		return nil, fmt.Errorf("invalid type, must be hashedrekord")
	}
	algorithms, err := signature.NewAlgorithmRegistryConfig([]protocommon.PublicKeyDetails{protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256})
	if err != nil {
		return nil, err
	}
	entry, err := hashedrekordv2.ToLogEntry(asked.GetHashedRekordRequestV002(), algorithms)
	if err != nil {
		return nil, errors.New("invalid hashedrekord request") // and no more
	}
	text, err := protojson.Marshal(entry)
	if err != nil {
		return nil, err
	}
	return jsoncanonicalizer.Transform(text)
}

func (t *transparency) entryV2(origin string, index int) ([]byte, error) {
	root := rootOf(t.leaves)
	by, err := rekornote.NewNoteSigner(context.Background(), origin, t.signer)
	if err != nil {
		return nil, err
	}
	text := checkpoint.Checkpoint{Origin: origin, Size: uint64(len(t.leaves)), Hash: root}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, by)
	if err != nil {
		return nil, err
	}
	id, err := keyID(t.key)
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(&protorekor.TransparencyLogEntry{
		LogIndex: int64(index), LogId: &protocommon.LogId{KeyId: id}, CanonicalizedBody: t.bodies[index],
		KindVersion: &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"},
		InclusionProof: &protorekor.InclusionProof{
			LogIndex: int64(index), TreeSize: int64(len(t.leaves)), RootHash: root, Hashes: pathOf(t.leaves, index),
			Checkpoint: &protorekor.Checkpoint{Envelope: string(signed)},
		},
	})
}

// serveV1 answers as Rekor's first version, which promises the time of an entry.
func (t *transparency) serveV1(w http.ResponseWriter, r *http.Request) {
	const path = "/api/v1/log/entries"
	refuse := func(status int, err error) {
		answer(w, status, map[string]any{"code": status, "message": err.Error()})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch id, isEntry := strings.CutPrefix(r.URL.Path, path+"/"); {
	case r.Method == http.MethodGet && isEntry:
		index := slices.IndexFunc(t.leaves, func(hash []byte) bool { return strings.HasSuffix(id, hex.EncodeToString(hash)) })
		if index < 0 {
			refuse(http.StatusNotFound, fmt.Errorf("entry not found"))
			return
		}
		t.answerV1(w, http.StatusOK, index)
	case r.Method == http.MethodPost && r.URL.Path == path:
		body, status, err := canonicalV1(r)
		if err != nil {
			refuse(status, err)
			return
		}
		index, there := t.add(body)
		w.Header().Set("Location", path+"/"+hex.EncodeToString(t.leaves[index]))
		if there {
			refuse(http.StatusConflict, fmt.Errorf("an equivalent entry already exists in the transparency log"))
			return
		}
		t.answerV1(w, http.StatusCreated, index)
	default:
		http.NotFound(w, r)
	}
}

// canonicalV1 judges a request, and returns the entry that it asks for, or the status of
// its refusal: what is not of the form of an entry has that of the real server's parser.
func canonicalV1(r *http.Request) (body []byte, status int, err error) {
	proposed, err := models.UnmarshalProposedEntry(io.LimitReader(r.Body, 1<<20), runtime.JSONConsumer())
	if err != nil {
		var parsed interface{ Code() int32 }
		if errors.As(err, &parsed) {
			return nil, min(int(parsed.Code()), http.StatusUnprocessableEntity), err // those of the parser begin at 600
		}
		return nil, http.StatusInternalServerError, err
	}
	entry, err := types.CreateVersionedEntry(proposed)
	if err == nil {
		body, err = types.CanonicalizeEntry(r.Context(), entry)
	}
	if err != nil {
		return nil, http.StatusBadRequest, fmt.Errorf("error processing entry: %w", err)
	}
	return body, http.StatusCreated, nil
}

func (t *transparency) answerV1(w http.ResponseWriter, status, index int) {
	entry, err := t.entryV1(index)
	if err != nil {
		answer(w, http.StatusInternalServerError, map[string]any{"code": 500, "message": err.Error()})
		return
	}
	uuid := hex.EncodeToString(t.leaves[index])
	w.Header().Set("ETag", uuid)
	answer(w, status, models.LogEntry{uuid: entry})
}

func (t *transparency) entryV1(index int) (entry models.LogEntryAnon, err error) {
	id, err := keyID(t.key)
	if err != nil {
		return entry, err
	}
	body, logID, at, position := base64.StdEncoding.EncodeToString(t.bodies[index]), hex.EncodeToString(id), t.times[index], int64(index)
	text, err := json.Marshal(map[string]any{"body": body, "integratedTime": at, "logID": logID, "logIndex": position})
	if err != nil {
		return entry, err
	}
	if text, err = jsoncanonicalizer.Transform(text); err != nil {
		return entry, err
	}
	promise, err := t.signer.SignMessage(bytes.NewReader(text))
	if err != nil {
		return entry, err
	}
	hash := rootOf(t.leaves)
	signed, err := util.CreateAndSignCheckpoint(context.Background(), "rekor.sandbox", 1, uint64(len(t.leaves)), hash, t.signer)
	if err != nil {
		return entry, err
	}
	size, root, point := int64(len(t.leaves)), hex.EncodeToString(hash), string(signed)
	proof := &models.InclusionProof{LogIndex: &position, TreeSize: &size, RootHash: &root, Checkpoint: &point, Hashes: []string{}}
	for _, h := range pathOf(t.leaves, index) {
		proof.Hashes = append(proof.Hashes, hex.EncodeToString(h))
	}
	return models.LogEntryAnon{
		Body: body, IntegratedTime: &at, LogID: &logID, LogIndex: &position,
		Verification: &models.LogEntryAnonVerification{InclusionProof: proof, SignedEntryTimestamp: promise},
	}, nil
}
