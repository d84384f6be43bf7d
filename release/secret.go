package release

import (
	"context"
	"errors"

	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/settings"
)

// pushSecret gives the chain's secret service the app's secret: each release is an app of
// its own, and has none. It stands after the app, whose owner alone may set it, and before
// the first run.
func (r *run) pushSecret(ctx context.Context) (string, error) {
	value, err := r.Keys.AppSecret()
	if err != nil {
		return "", err
	}
	service := r.secretService()
	made, err := service.PushAppSecret(ctx, r.keys.wallet, r.registration.Address, value)
	if err != nil {
		return "", err
	}
	evidence := request.SecretSize(value) + ", at " + redact.URL(service.URL)
	if !made {
		evidence = "there, at " + redact.URL(service.URL) + ", which tells nobody whether it is the same"
	}
	return r.note("secret", made, evidence), nil
}

func (r *run) secretService() request.Service {
	return request.Service{URL: r.Chain.SMS, Tell: r.Teller.Note}
}

func (r *run) lookForSecret(ctx context.Context) ([]Finding, error) {
	service := r.secretService()
	at := redact.URL(service.URL)
	there, err := service.HasAppSecret(ctx, r.registration.Address) // of an app that is not there too: is the service?
	if err != nil {
		return nil, err
	}
	if there {
		return []Finding{{"secret", There, "the app has a secret, at " + at + ", which tells nobody whether it is the same"}}, nil
	}
	return []Finding{{"secret", ToMake, "the app would be given its secret, at " + at}}, nil
}

// checkSecret makes sure that the secret that is asked for is there, and one that the
// service takes: a variable that was forgotten ends a release before it builds.
func (r *run) checkSecret() error {
	if r.Settings.Secret == (settings.Secret{}) {
		return nil
	}
	value, err := r.Keys.AppSecret()
	var refused *request.SecretError
	if err == nil && errors.As(request.CheckSecretValue("", value), &refused) {
		err = &settings.Error{Problems: []settings.Problem{{Where: "app-secret", Text: refused.Problem}}}
	}
	return err
}

// secretService is the name of the finding.
const secretService = "secret service"

// serving tells what the chain's secret service says of the app's framework and version:
// enclaves get the secrets of their runs from it. That it says nothing, or something else, is
// no error: a workerpool may use another one.
func (r *run) serving(ctx context.Context) []Finding {
	if r.Chain.SMS == "" {
		return nil
	}
	return []Finding{{secretService, Note, r.secretService().Serving(ctx, r.Settings.Enclave.Framework, r.Settings.Enclave.Version)}}
}
