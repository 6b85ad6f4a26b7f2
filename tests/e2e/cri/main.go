// Command cri asks a container runtime for an image exactly as the kubelet does: the CRI image service over its socket.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func run(ctx context.Context, socket, verb, image string) error {
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	images := runtime.NewImageServiceClient(connection)
	spec := &runtime.ImageSpec{Image: image}
	switch verb {
	case "pull":
		response, err := images.PullImage(ctx, &runtime.PullImageRequest{Image: spec})
		if err != nil {
			return err
		}
		fmt.Println(response.ImageRef)
		return nil
	case "status":
		response, err := images.ImageStatus(ctx, &runtime.ImageStatusRequest{Image: spec})
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(response.Image)
	case "remove":
		_, err := images.RemoveImage(ctx, &runtime.RemoveImageRequest{Image: spec})
		return err
	default:
		return errors.New("want pull, status or remove, found " + verb)
	}
}

func main() {
	socket := flag.String("socket", "/run/containerd/containerd.sock", "the runtime's socket")
	timeout := flag.Duration("timeout", time.Minute, "how long to wait for the answer")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: cri [-socket PATH] [-timeout DURATION] pull|status|remove IMAGE")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(64)
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	if err := run(ctx, *socket, flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
