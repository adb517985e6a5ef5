/** What the chart and the overlays become, and whether Kubernetes would take it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { findTool, requireTools } from '../support/system-tools.ts';

const HERE = dirname(fileURLToPath(import.meta.url));
const K8S = join(HERE, '../../deploy/k8s');
/** Where Debian's Go libraries are. */
const GOPATH = '/usr/share/gocode';
const GO_LIBRARIES = ['golang-github-masterminds-sprig-dev', 'golang-github-ghodss-yaml-dev'];

/** One document of Kubernetes. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly [field: string]: unknown;
}

/** The folder of the chart. */
export const CHART = join(K8S, 'helm/sluice');
/** What `kustomize/base/sluice.yaml` is rendered from. */
export const BASE = join(K8S, 'kustomize/base');
/** Settings of the chart that tests render it with. */
export const VALUES = join(HERE, 'values');
/** Settings of the chart for people to begin with. */
export const EXAMPLES = join(K8S, 'examples');

/** Renders the chart: with Helm where it is installed, else with the same template functions in a program of our own. */
export class ChartRenderer implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-chart-'));
  readonly #program = join(this.#folder, 'helm-template');

  constructor() {
    requireTools(['go'], GO_LIBRARIES);
    const env = { ...process.env, GO111MODULE: 'off', GOFLAGS: '', GOPATH };
    execFileSync('go', ['build', '-o', this.#program, '.'], {
      cwd: join(HERE, 'helm-template'),
      env: { ...env, GOCACHE: join(this.#folder, 'cache'), GOTMPDIR: this.#folder },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
  }

  /** @param files of values, before those of the chart. @throws Error when the chart refuses them */
  render(namespace: string, files: readonly string[] = []): string {
    return run(this.#program, [CHART, 'sluice', namespace, ...files]);
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** As Helm itself renders it; undefined where it is not installed. */
export function helmTemplate(namespace: string, files: readonly string[]): string | undefined {
  const helm = findTool('helm');
  if (helm === undefined) return undefined;
  const values = files.flatMap((file) => ['--values', file]);
  return run(helm, ['template', 'sluice', CHART, '--namespace', namespace, ...values]);
}

/** An overlay as kustomize renders it. */
export function renderOverlay(name: string): string {
  requireTools(['kubectl']);
  return run('kubectl', ['kustomize', join(K8S, 'kustomize/overlays', name)]);
}

/** The documents of a YAML stream. @throws Error where it is none */
export function manifestsOf(text: string): Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error) throw error;
    const manifest = document.toJS() as Manifest | null;
    return manifest === null ? [] : [manifest];
  });
}

/** Checks a document against the schema of its kind. @throws Error that says what does not fit */
export async function validate(manifest: Manifest): Promise<void> {
  const { apiVersion, kind } = manifest;
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const source = SCHEMAS[group!] ?? `kubernetes-models${group === '' ? '' : `/${group}`}`;
  const kinds = (await import(`${source}/${version}`)) as Record<string, Model | undefined>;
  const Kind = kinds[kind];
  if (!Kind) throw new Error(`there is no ${apiVersion} ${kind}`);
  new Kind(manifest).validate();
}

type Model = new (manifest: Manifest) => { validate(): void };

const SCHEMAS: Readonly<Record<string, string>> = {
  'cert-manager.io': '@kubernetes-models/cert-manager/cert-manager.io',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator/monitoring.coreos.com',
};

function run(program: string, argv: readonly string[]): string {
  try {
    return execFileSync(program, argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new Error((error as { stderr?: string }).stderr ?? String(error), { cause: error });
  }
}
