// Renders a Helm chart as `helm template` does, with the same template language and functions, where there is no Helm: the parts of it
// that this project's chart uses. Prints one YAML stream, with the file each document is from.
//
//	helm-template CHART RELEASE NAMESPACE [VALUES.yaml...]
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"github.com/ghodss/yaml"
)

type object = map[string]interface{}

func main() {
	if len(os.Args) < 4 {
		fail(errors.New("usage: helm-template CHART RELEASE NAMESPACE [VALUES.yaml...]"))
	}
	chart, release, namespace := os.Args[1], os.Args[2], os.Args[3]
	facts := read(filepath.Join(chart, "Chart.yaml"))
	values := read(filepath.Join(chart, "values.yaml"))
	for _, file := range os.Args[4:] {
		values = merge(values, read(file))
	}
	// Chart.yaml's fields are read with a capital letter.
	capitals := object{}
	for key, value := range facts {
		capitals[strings.ToUpper(key[:1])+key[1:]] = value
	}
	context := object{
		"Chart":    capitals,
		"Values":   values,
		"Release":  object{"Name": release, "Namespace": namespace, "Service": "Helm", "IsInstall": true, "IsUpgrade": false},
		"Template": object{"BasePath": "templates", "Name": ""},
	}
	render(chart, context)
}

func render(chart string, context object) {
	all := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	execute := func(name string, data interface{}) (string, error) {
		var text strings.Builder
		err := all.ExecuteTemplate(&text, name, data)
		// What is not there is nothing, as in Helm.
		return strings.ReplaceAll(text.String(), "<no value>", ""), err
	}
	functions["include"] = execute
	functions["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, errors.New(message)
		}
		return value, nil
	}
	functions["toYaml"] = func(value interface{}) (string, error) {
		bytes, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(bytes), "\n"), err
	}
	functions["fromYaml"] = func(text string) (object, error) {
		found := object{}
		err := yaml.Unmarshal([]byte(text), &found)
		return found, err
	}
	functions["lookup"] = func(...string) object { return object{} }
	all.Funcs(functions)
	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	fail(err)
	sort.Strings(files)
	for _, file := range files {
		bytes, err := os.ReadFile(file)
		fail(err)
		_, err = all.New("templates/" + filepath.Base(file)).Parse(string(bytes))
		fail(err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "_") {
			continue
		}
		text, err := execute("templates/"+name, context)
		fail(err)
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(text) != "" {
			fmt.Printf("---\n# Source: %s\n%s\n", name, strings.Trim(text, "\n"))
		}
	}
}

func read(file string) object {
	bytes, err := os.ReadFile(file)
	fail(err)
	found := object{}
	fail(yaml.Unmarshal(bytes, &found))
	return found
}

// Maps are merged, everything else is replaced.
func merge(below, above object) object {
	for key, value := range above {
		inner, isMap := value.(object)
		before, wasMap := below[key].(object)
		if isMap && wasMap {
			below[key] = merge(before, inner)
		} else {
			below[key] = value
		}
	}
	return below
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
