// The monitoring objects of a chart, read by those who will read them: PrometheusRule and PodMonitor by the operator's own types, nothing
// unknown let pass; rules (expressions, templates, durations) by Prometheus's loader; single expressions by its parser.
//
//	promcheck PrometheusRule < object.yaml
//	promcheck PodMonitor < object.yaml
//	promcheck expressions < one-in-a-line
//
// Prints the names of the metrics that are asked for. Exit code 1: something is wrong, and said.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

var language = parser.NewParser(parser.Options{})

func main() {
	names, err := read(strings.Join(os.Args[1:], " "))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		fmt.Println(name)
	}
}

func read(what string) ([]string, error) {
	switch what {
	case "PrometheusRule":
		return readRules()
	case "PodMonitor":
		return nil, readStrictly(&monitoring.PodMonitor{})
	case "expressions":
		return readExpressions()
	default:
		return nil, fmt.Errorf("expected PrometheusRule, PodMonitor or expressions, got %q", what)
	}
}

func readRules() ([]string, error) {
	var object monitoring.PrometheusRule
	if err := readStrictly(&object); err != nil {
		return nil, err
	}
	spec, err := yaml.Marshal(object.Spec)
	if err != nil {
		return nil, err
	}
	groups, failures := rulefmt.Parse(spec, false, model.UTF8Validation, language, slog.New(slog.DiscardHandler))
	if len(failures) > 0 {
		return nil, errors.Join(failures...)
	}
	var expressions []string
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			expressions = append(expressions, rule.Expr)
		}
	}
	return metricsOf(expressions)
}

func readStrictly(object any) error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	return yaml.UnmarshalStrict(text, object)
}

func readExpressions() ([]string, error) {
	var expressions []string
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		expressions = append(expressions, lines.Text())
	}
	return metricsOf(expressions)
}

// Nothing to read is a mistake of whoever asks.
func metricsOf(expressions []string) ([]string, error) {
	if len(expressions) == 0 {
		return nil, errors.New("no expression")
	}
	var names []string
	for _, expression := range expressions {
		parsed, err := language.ParseExpr(expression)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", expression, err)
		}
		for _, selectors := range parser.ExtractSelectors(parsed) {
			names = append(names, nameIn(selectors))
		}
	}
	return names, nil
}

func nameIn(selectors []*labels.Matcher) string {
	for _, selector := range selectors {
		if selector.Name == model.MetricNameLabel {
			return selector.Value
		}
	}
	return ""
}
