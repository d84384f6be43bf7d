package outside

import (
	"net/http"
	"path"
)

// InRegistry says what of a repository a request to a registry is about: manifests, blobs,
// uploads, referrers or tags. It is the last part of the path but one (OCI distribution
// specification, "Endpoints"): before that stands the repository's name, which may hold any
// of these words.
func InRegistry(r *http.Request) string { return path.Base(path.Dir(r.URL.Path)) }

// IsBlob tells the requests to a registry for blobs.
func IsBlob(r *http.Request) bool { return InRegistry(r) == "blobs" }
