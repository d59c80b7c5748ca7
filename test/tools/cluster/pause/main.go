// Command pause holds a pod's namespaces, as Kubernetes' own pause (build/pause/linux/pause.c) does: it does nothing
// until it is told to end.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
}
