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
  EXAMPLES,
  VALUES,
  helmTemplate,
  manifestsOf,
  renderOverlay,
  validate,
} from './manifests.ts';

const OF_OTHER_CHARTS = ['prometheus-adapter.yaml'];
/** Values by the name of their file. */
const FILES = new Map(
  [VALUES, EXAMPLES].flatMap((folder) =>
    readdirSync(folder).flatMap((name) =>
      name.endsWith('.yaml') && !OF_OTHER_CHARTS.includes(name) ? [[name, join(folder, name)] as const] : [],
    ),
  ),
);
const NAMES = [...FILES.keys()];
const PROJECT = new URL('../..', import.meta.url).pathname;
const OVERLAYS = ['development', 'production'];

let chart: ChartRenderer;
beforeAll(() => {
  chart = new ChartRenderer();
}, 300_000);
afterAll(() => chart[Symbol.dispose]());

const rendered = (file?: string): Manifest[] =>
  manifestsOf(chart.render('messaging', file === undefined ? [] : [FILES.get(file)!]));

describe('the Helm chart', () => {
  it.each([undefined, ...NAMES])('renders documents that Kubernetes takes, with %s', async (file) => {
    const manifests = rendered(file);
    expect(manifests.length).toBeGreaterThan(8);
    for (const manifest of manifests) await validate(manifest);
  });

  it.each([undefined, ...NAMES])('gives nodes settings that they take, with %s', (file) => {
    const loaded = settingsIn(rendered(file));
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
    for (const [name, file] of FILES) {
      const change = parse(readFileSync(file, 'utf8')) as object;
      expect([name, fits(change), fits.errors]).toEqual([name, true, null]);
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
    expect(certificateUris(manifests)).toEqual(pods(5).map((pod) => `sluice://main/node/${pod}`));
  });

  it.each([undefined, ...NAMES])('gives nodes the time that they need to drain, with %s', (file) => {
    expectTimeToDrain(rendered(file));
  });

  it('grows by itself: for all nodes that there may be there is a certificate, and nothing else sets how many there are', () => {
    const manifests = rendered('autoscaling.yaml');
    const [scaler] = manifests.filter(({ kind }) => kind === 'HorizontalPodAutoscaler');
    const { minReplicas, maxReplicas, metrics } = scaler!['spec'] as Autoscaler;
    expect([minReplicas, maxReplicas, metrics.map(({ type }) => type)]).toEqual([3, 9, ['Resource', 'Pods']]);
    expect(certificateUris(manifests)).toHaveLength(9);
    expect(statefulSet(manifests)).not.toHaveProperty('replicas');
  });

  it('makes one cluster of two regions, whose nodes reach and trust each other', () => {
    const [main, reading] = ['main-region.yaml', 'reading-region.yaml'].map((file) => rendered(file));
    for (const manifests of [main!, reading!]) {
      const services = manifests.filter(
        ({ kind, spec }) => kind === 'Service' && typeOf(spec) === 'LoadBalancer',
      );
      expect(services.length).toBeGreaterThan(1);
      for (const { spec } of services) expect(portsOf(spec)).toContain(7452);
      const [policy] = manifests.filter(({ kind }) => kind === 'NetworkPolicy');
      expect(JSON.stringify(policy)).toContain('"ipBlock"');
    }
    const loaded = [main!, reading!].map((manifests) => settingsIn(manifests));
    const [{ cluster: here }, { cluster: there }] = loaded as [Loaded, Loaded];
    expect([here!.name, here!.etcd.endpoints]).toEqual([there!.name, there!.etcd.endpoints]);
    expect([here!.capacity, there!.capacity]).toEqual([1, 0]);
    expect(environmentOf(reading!)['SLUICE_PEER_ADVERTISE']).toBe('$(POD_NAME).eu.sluice.example.org:7452');
    const issuers = [main!, reading!].map((manifests) => issuersOf(manifests));
    expect(new Set(issuers.flat()).size).toBe(1);
  });

  it('is rendered by Helm to the same, where Helm is installed', () => {
    for (const [name, file] of FILES) {
      const helm = helmTemplate('messaging', [file]);
      if (helm !== undefined) expect(sorted(manifestsOf(helm))).toEqual(sorted(rendered(name)));
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
    expectTimeToDrain(manifests);
  });
});

describe('the examples', () => {
  it('ask for a metric that nodes have', () => {
    const { rules } = parse(readFileSync(join(EXAMPLES, 'prometheus-adapter.yaml'), 'utf8')) as Adapter;
    const [{ seriesQuery, name }] = rules.custom;
    const source = readFileSync(join(PROJECT, 'src/node/metrics/gateway-metrics.ts'), 'utf8');
    expect(source).toContain(`'${seriesQuery.replace(/\{.*/, '')}'`);
    expect(JSON.stringify(rendered('autoscaling.yaml'))).toContain(`"${name.as}"`);
  });
});

interface Adapter {
  readonly rules: {
    readonly custom: readonly [{ readonly seriesQuery: string; readonly name: { readonly as: string } }];
  };
}

interface Autoscaler {
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly metrics: readonly { readonly type: string }[];
}

interface PodTemplate {
  readonly spec: {
    readonly terminationGracePeriodSeconds: number;
    readonly containers: readonly [
      {
        readonly env: readonly EnvVar[];
        readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
      },
    ];
  };
}

type Loaded = ReturnType<typeof loadConfig>['settings'];

/** What is left of the time when all takes as long as it may. */
const SPARE_MS = 10_000;

/** A pod waits for services to hear of it, hands over what it leads, and then gives its clients time to go: all of that fits. */
function expectTimeToDrain(manifests: readonly Manifest[]): void {
  const { terminationGracePeriodSeconds, containers } = statefulSet(manifests).template.spec;
  const [, sleepS] = containers[0].lifecycle.preStop.exec.command;
  const { timeoutMs } = settingsIn(manifests).drain;
  const neededMs = 1000 * Number(sleepS) + 2 * timeoutMs + SPARE_MS;
  expect(1000 * terminationGracePeriodSeconds).toBeGreaterThanOrEqual(neededMs);
}

/** What a node makes of its file and environment. @throws SluiceError where it refuses them */
function settingsIn(manifests: readonly Manifest[]): Loaded {
  const [file] = settingsOf(manifests);
  return loadConfig({ file, env: settable(environmentOf(manifests)), flags: {} }).settings;
}

function statefulSet(manifests: readonly Manifest[]): { readonly template: PodTemplate } {
  const [found] = manifests.filter(({ kind, metadata }) => kind === 'StatefulSet' && isNode(metadata.name));
  return found!['spec'] as { template: PodTemplate };
}

const isNode = (name: string): boolean => name.startsWith('sluice');
const certificateUris = (manifests: readonly Manifest[]): string[] =>
  certificates(manifests).flatMap(({ uris }) => uris ?? []);
const issuersOf = (manifests: readonly Manifest[]): string[] =>
  certificates(manifests).map(({ issuerRef }) => JSON.stringify(issuerRef));
const certificates = (manifests: readonly Manifest[]): { uris?: string[]; issuerRef: object }[] =>
  manifests.flatMap(({ kind, spec }) => (kind === 'Certificate' ? [spec as { issuerRef: object }] : []));
const portsOf = (spec: unknown): number[] =>
  (spec as { ports: { port: number }[] }).ports.map(({ port }) => port);
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
  const [{ env }] = statefulSet(manifests).template.spec.containers;
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
