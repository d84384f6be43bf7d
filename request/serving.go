package request

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

// frameworkName matches the names of frameworks for enclaves, as iExec's services write them.
var frameworkName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,31}$`)

// servingTime bounds how long the service is asked what it serves, which nothing waits for.
const servingTime = 5 * time.Second

// Serving says in words what the service tells of a framework, and of a version of it: the
// one that it serves (GET /tee/framework), and whether it has the version (GET
// /tee/properties/FRAMEWORK/VERSION, with 404 for no, 409 for another framework; services
// before version 9 know no versions). Both may be empty: of an app whose enclave does not
// say. A service that cannot be asked, or does not know the question, is told as that.
func (s Service) Serving(ctx context.Context, framework, version string) string {
	ctx, cancel := context.WithTimeout(ctx, servingTime)
	defer cancel()
	serves, err := s.framework(ctx)
	switch {
	case err != nil:
		return "does not say which framework it serves: " + err.Error()
	case framework == "":
		return "serves " + serves + ", as it says; what the app is of is not in its configuration"
	case serves != framework:
		return fmt.Sprintf("serves %s, as it says, and the app is of %s: its runs get nothing from it", serves, framework)
	}
	has, told, err := s.hasVersion(ctx, framework, version)
	switch {
	case err != nil:
		return fmt.Sprintf("serves %s, as it says, and does not say whether it has version %s: %v", serves, version, err)
	case !told:
		return fmt.Sprintf("serves %s, as it says, and tells nothing of versions", serves)
	case !has:
		return fmt.Sprintf("serves %s, as it says, and does not have version %s: runs of the app fail with it", serves, version)
	}
	return fmt.Sprintf("serves %s in version %s, as it says", serves, version)
}

// framework asks which framework the service serves. Error: [*ServiceError], or that the
// answer is no name.
func (s Service) framework(ctx context.Context) (string, error) {
	_, answer, err := s.exchange(ctx, http.MethodGet, secret{path: "/tee/framework"}, "", "")
	if err != nil {
		return "", err
	}
	var name string
	if bounds.CheckJSON(answer) != nil || json.Unmarshal(answer, &name) != nil || !frameworkName.MatchString(name) {
		return "", errors.New("its answer is no framework's name")
	}
	return name, nil
}

// hasVersion asks whether the service has a version of its framework. A service that has no
// such question answers as one that has no such version, but knows the framework without one.
func (s Service) hasVersion(ctx context.Context, framework, version string) (has, told bool, err error) {
	of := "/tee/properties/" + url.PathEscape(framework)
	status, _, err := s.exchange(ctx, http.MethodGet, secret{path: of + "/" + url.PathEscape(version)}, "", "")
	if err == nil || status != http.StatusNotFound {
		return err == nil, true, err
	}
	status, _, err = s.exchange(ctx, http.MethodGet, secret{path: of}, "", "")
	if err != nil && status != http.StatusNotFound {
		return false, false, err
	}
	return false, err != nil, nil
}
