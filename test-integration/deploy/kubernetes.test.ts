import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import type { Manifest } from './manifests.ts';
import {
  BASE,
  CHART,
  ChartRenderer,
  VALUES,
  helmTemplate,
  manifestsOf,
  renderOverlay,
  validate,
} from './manifests.ts';

const FILES = readdirSync(VALUES);
const OVERLAYS = ['development', 'production'];

let chart: ChartRenderer;
beforeAll(() => {
  chart = new ChartRenderer();
}, 300_000);
afterAll(() => chart[Symbol.dispose]());

const rendered = (file?: string): Manifest[] =>
  manifestsOf(chart.render('messaging', file === undefined ? [] : [join(VALUES, file)]));

describe('the Helm chart', () => {
  it.each([undefined, ...FILES])('renders documents that Kubernetes takes, with %s', async (file) => {
    const manifests = rendered(file);
    expect(manifests.length).toBeGreaterThan(8);
    for (const manifest of manifests) await validate(manifest);
  });

  it.each([undefined, ...FILES])('gives nodes settings that they take, with %s', (file) => {
    const manifests = rendered(file);
    const [settings] = settingsOf(manifests);
    const env = environmentOf(manifests);
    const { settings: loaded } = loadConfig({ file: settings, env: settable(env), flags: {} });
    expect(loaded.cluster?.name).toBe('main');
    expect(loaded.node.id).toBe('POD_NAME');
  });

  it('notices a document that Kubernetes does not take', async () => {
    const [statefulSet] = rendered().filter(({ kind }) => kind === 'StatefulSet');
    await expect(validate({ ...statefulSet!, spec: { replicas: 'three' } })).rejects.toThrow(/replicas/);
    await expect(validate({ ...statefulSet!, kind: 'StatefulThing' })).rejects.toThrow(/StatefulThing/);
  });

  it('has values that fit its schema, and refuses others', () => {
    const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as object;
    const fits = new Ajv.Ajv({ allowUnionTypes: true }).compile(schema);
    const values = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Record<string, unknown>;
    expect([fits(values), fits.errors]).toEqual([true, null]);
    for (const file of FILES) {
      const change = parse(readFileSync(join(VALUES, file), 'utf8')) as object;
      expect([file, fits(change), fits.errors]).toEqual([file, true, null]);
    }
    for (const wrong of [
      { replicaCount: 0 },
      { replicas: 3 },
      { etcd: { endpoints: [] } },
      { external: { type: 'Ingress' } },
      { auth: { mode: 'maybe' } },
    ]) {
      expect([wrong, fits({ ...values, ...wrong })]).toEqual([wrong, false]);
    }
  });

  it('gives each pod a service and a certificate of its own', () => {
    const manifests = rendered('node-port.yaml');
    const services = manifests.filter(({ kind, spec }) => kind === 'Service' && typeOf(spec) === 'NodePort');
    expect(services.map(({ metadata }) => metadata.name)).toEqual(pods(5));
    const uris = manifests.flatMap(({ kind, spec }) =>
      kind === 'Certificate' ? ((spec as { uris?: string[] }).uris ?? []) : [],
    );
    expect(uris).toEqual(pods(5).map((pod) => `sluice://main/node/${pod}`));
  });

  it('is rendered by Helm to the same, where Helm is installed', () => {
    for (const file of FILES) {
      const helm = helmTemplate('messaging', [join(VALUES, file)]);
      if (helm !== undefined) expect(sorted(manifestsOf(helm))).toEqual(sorted(rendered(file)));
    }
  });
});

describe('kustomize', () => {
  it('has a base that is what the chart renders', () => {
    const text = chart.render('sluice', [join(BASE, 'values.yaml')]).replace(/^---\n/, '');
    expect(readFileSync(join(BASE, 'sluice.yaml'), 'utf8')).toBe(text);
  });

  it.each(OVERLAYS)('renders the overlay %s to documents that Kubernetes takes', async (name) => {
    const manifests = manifestsOf(renderOverlay(name));
    expect(manifests.length).toBeGreaterThan(12);
    for (const manifest of manifests) await validate(manifest);
    const [settings] = settingsOf(manifests);
    loadConfig({ file: settings, env: settable(environmentOf(manifests)), flags: {} });
  });
});

const pods = (count: number): string[] => Array.from({ length: count }, (_, n) => `sluice-${n}`);
const typeOf = (spec: unknown): unknown => (spec as { type?: string }).type;
const sorted = (manifests: readonly Manifest[]): Manifest[] =>
  manifests
    .filter(({ kind, metadata }) => !(kind === 'Secret' && metadata.name === 'sluice-admin'))
    .toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
const keyOf = ({ kind, metadata }: Manifest): string => `${kind}/${metadata.name}`;

/** The configuration files of the nodes. */
function settingsOf(manifests: readonly Manifest[]): { text: string; name: string }[] {
  return manifests.flatMap(({ kind, data }) => {
    const text = (data as Record<string, string> | undefined)?.['sluice.yaml'];
    return kind === 'ConfigMap' && text !== undefined ? [{ text, name: 'sluice.yaml' }] : [];
  });
}

/** Name and value of each variable of a node; what Kubernetes puts in has the variable's own name. */
function environmentOf(manifests: readonly Manifest[]): Record<string, string> {
  const node = manifests.find(({ kind, metadata }) => kind === 'StatefulSet' && metadata.name === 'sluice');
  const { template } = node!['spec'] as { template: { spec: { containers: [{ env: EnvVar[] }] } } };
  const [{ env }] = template.spec.containers;
  return Object.fromEntries(env.map(({ name, value }) => [name, value ?? 'x'.repeat(32)]));
}

interface EnvVar {
  readonly name: string;
  readonly value?: string;
}

/** As it is in a pod, for those that are settings. */
function settable(env: Readonly<Record<string, string>>): Record<string, string> {
  const settings = Object.entries(env).filter(([name]) => name.startsWith('SLUICE_'));
  return Object.fromEntries(
    settings.map(([name, value]) => [
      name,
      value.replaceAll(/\$\(([A-Z_]+)\)/g, (_, variable: string) => variable),
    ]),
  );
}
