package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
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
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			state, err := fleet.OpenState(a.common.state)
			if err != nil {
				return err
			}
			e, err := a.prepare("check", args[0])
			if err != nil {
				return err
			}
			last, err := state.Last(e.inv.Path, "check")
			if err != nil {
				return err
			}
			r := e.conclude(c.Context(), a.look(c.Context(), e, false))
			report.Compare(last, &r)
			if err := a.write(r); err != nil {
				return err
			}
			if c.Context().Err() != nil {
				return exit(r) // half a check is nothing to compare the next with
			}
			if metrics != "" {
				if err := report.WriteMetrics(metrics, r); err != nil {
					return fmt.Errorf("write the metrics: %w", err)
				}
			}
			if notify != "" && r.HasNew() {
				if err := post(c.Context(), notify, r); err != nil {
					return fmt.Errorf("notify: %w", err)
				}
			}
			kept := report.Remember(last, &r, func(name string) bool {
				return slices.ContainsFunc(e.inv.Hosts, func(h inventory.Host) bool { return h.Name == name })
			})
			if err := state.Save("check", *kept); err != nil {
				return err
			}
			if err := state.Save(fleet.Any, r); err != nil {
				return err
			}
			return exit(r)
		},
	}
	a.fleetFlags(c)
	a.outputFlags(c)
	c.Flags().StringVar(&metrics, "metrics-file", "", "write metrics for node_exporter's textfile collector to `FILE`")
	c.Flags().StringVar(&notify, "notify", "", "POST the JSON result to `URL` when something is newly wrong")
	return c
}

// post sends the JSON result to a webhook.
func post(ctx context.Context, url string, r report.Result) error {
	var body bytes.Buffer
	if err := report.JSON(&body, r); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, &body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s answered %s", request.URL.Redacted(), response.Status)
	}
	return nil
}
