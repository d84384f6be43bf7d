package ci

import "fmt"

// Setting says how a secret variable comes to a job of the system that the environment
// tells of: the lines of its configuration, and where the value is kept. It is empty
// without a system.
func Setting(getenv func(string) string, variable string) string {
	switch systemOf(getenv) {
	case GitHub:
		return fmt.Sprintf("env:  # of the job or the step; the value: Settings > Secrets and variables > Actions\n  %s: ${{ secrets.%s }}", variable, variable)
	case GitLab:
		return fmt.Sprintf("variables:  # of the job; the value: Settings > CI/CD > Variables, masked, as SECRET_%s\n  %s: $SECRET_%s\n# a variable that is protected is there for protected branches and tags only", variable, variable, variable)
	}
	return ""
}
