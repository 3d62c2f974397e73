package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/runai-prep/runai-prep/internal/fleet"
	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/inventory"
)

func (a *app) check() *cobra.Command {
	var metrics, notify string
	c := &cobra.Command{
		Use:   "check INVENTORY",
		Short: "Report drift, and what of it is new since the last check; for cron: never asks, changes nothing on hosts",
		Args:  oneInventory,
		RunE: func(c *cobra.Command, args []string) error {
			if a.common.gate != "" && metrics+notify != "" {
				return errors.New("--gate asks about one host: leave out --metrics-file and --notify")
			}
			if c.Flags().Changed("notify") {
				if err := webhook(notify); err != nil {
					return err
				}
			}
			e, err := a.prepare("check", args[0])
			if err != nil {
				return err
			}
			if a.common.gate != "" {
				return a.passGate(c.Context(), e)
			}
			last, err := e.state.Last(e.inv.Path, "check")
			if err != nil {
				// A check from cron that looks at nothing because of what it
				// remembers would be the worse failure.
				fmt.Fprintf(a.stderr, "runai-prep: %v; going on as if this were the first check\n", err)
			}
			visits := a.look(c.Context(), e, false)
			if err := a.keepEvidence(c.Context(), e, visits); err != nil {
				return err
			}
			r := e.conclude(c.Context(), visits)
			if c.Context().Err() != nil || e.replay != nil {
				// Half a check, or one of another day, is nothing to compare with.
				return a.deliver(r)
			}
			report.Compare(last, &r)
			told := true
			return a.deliver(r,
				func() error {
					if metrics == "" {
						return nil
					}
					return wrap("write the metrics", report.WriteMetrics(metrics, r))
				},
				func() error {
					if notify == "" || !r.HasNew() {
						return nil
					}
					err := post(c.Context(), notify, r)
					told = err == nil
					return wrap("notify", err)
				},
				func() error {
					if !told { // the news is news until somebody has it
						return e.state.Save(fleet.Any, r)
					}
					kept := report.Remember(last, &r, func(name string) bool {
						return slices.ContainsFunc(e.inv.Hosts, func(h inventory.Host) bool { return h.Name == name })
					})
					return errors.Join(e.state.Save("check", *kept), e.state.Save(fleet.Any, r))
				})
		},
	}
	a.fleetFlags(c)
	a.outputFlags(c)
	a.strictFlag(c)
	a.recordFlags(c)
	c.Flags().StringVar(&a.common.gate, "gate", "", "exit 0 only when `HOST` is ready: before kubeadm join; the others are looked at for what must be unique alone")
	c.Flags().StringVar(&metrics, "metrics-file", "", "write metrics for node_exporter's textfile collector to `FILE`")
	c.Flags().StringVar(&notify, "notify", "", "POST the JSON result to `URL` when something is newly wrong")
	return c
}

func wrap(action string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", action, err)
}

// webhook refuses an address that nothing could be sent to. The address is not
// repeated: it is as good as a password.
func webhook(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("--notify: the address is no URL to POST to; write it as https://HOST/PATH")
	}
	return nil
}

// post sends the JSON result to a webhook. Its errors name the server alone: the
// rest of a webhook's address is as good as a password.
func post(ctx context.Context, hook string, r report.Result) error {
	var body bytes.Buffer
	if err := report.JSON(&body, r); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, &body)
	if err != nil {
		return errors.New("the address is no URL to POST to") // an error would repeat it
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return fmt.Errorf("%s: %w", request.URL.Host, err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s answered %s", request.URL.Host, response.Status)
	}
	return nil
}
