// Command kstatus reads objects, one JSON document after the other, and prints for each what Flux, kpt and
// other users of kstatus take it for: a line with "status" and "message".
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func run(in io.Reader, out io.Writer) error {
	objects := json.NewDecoder(in)
	results := json.NewEncoder(out)
	for {
		var document json.RawMessage
		if err := objects.Decode(&document); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		// As clients of the API server decode it: whole numbers are int64, which kstatus insists on.
		var object unstructured.Unstructured
		if err := object.UnmarshalJSON(document); err != nil {
			return err
		}
		result, err := status.Compute(&object)
		if err != nil {
			return err
		}
		line := map[string]string{"status": result.Status.String(), "message": result.Message}
		if err := results.Encode(line); err != nil {
			return err
		}
	}
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
