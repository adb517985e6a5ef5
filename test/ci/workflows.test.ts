import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

// GitHub's parser imports JSON as bundlers do, and not as Node does.
registerHooks({
  load: (url, context, next) =>
    next(url, url.endsWith('.json') ? { ...context, importAttributes: { type: 'json' } } : context),
});
const { NoOperationTraceWriter, convertWorkflowTemplate, parseWorkflow } =
  await import('@actions/workflow-parser');
const { parseAction } = await import('@actions/workflow-parser/actions/index');

const PROJECT = new URL('../..', import.meta.url).pathname;
const WORKFLOWS = filesIn('.github/workflows', '.yml');
const ACTIONS = readdirSync(join(PROJECT, '.github/actions')).map(
  (name) => `.github/actions/${name}/action.yml`,
);
const SCRIPTS = Object.keys(
  (JSON.parse(read('package.json')) as { scripts: Record<string, string> }).scripts,
);

describe('what GitHub runs', () => {
  it.each(WORKFLOWS)('is a workflow that it takes: %s', async (file) => {
    expect(await faultsOf(read(file))).toEqual([]);
  });

  it.each(ACTIONS)('is an action that it takes: %s', (file) => {
    const { context } = parseAction({ name: file, content: read(file) }, new NoOperationTraceWriter());
    expect(context.errors.getErrors().map(({ message }) => message)).toEqual([]);
  });

  it('would not pass with a fault in it', async () => {
    const sound = read('.github/workflows/ci.yml');
    expect(await faultsOf(sound.replace('runs-on:', 'runs-at:'))).not.toEqual([]);
    expect(await faultsOf(sound.replace('github.sha', 'github.shape('))).not.toEqual([]);
    expect(await faultsOf(sound.replace('timeout-minutes: 15', 'timeout-minutes: soon'))).not.toEqual([]);
  });

  it('is all that is wanted', () => {
    expect(WORKFLOWS.flatMap((file) => Object.keys(workflow(file).jobs))).toEqual(
      expect.arrayContaining(['lint', 'unit', 'sim', 'integration', 'chaos', 'image', 'soak', 'release']),
    );
  });

  it.each(WORKFLOWS)('may read, ends some day, and does not run twice at once: %s', (file) => {
    const { permissions, concurrency, jobs } = workflow(file);
    expect(permissions).toEqual({ contents: 'read' });
    expect(concurrency?.group).toBeTruthy();
    for (const job of Object.values(jobs)) expect(job['timeout-minutes']).toBeGreaterThan(0);
  });

  it.each([...WORKFLOWS, ...ACTIONS])('is of others only what cannot change: %s', (file) => {
    const used = [...read(file).matchAll(/uses: *(\S+)(?: *# *(\S+))?/g)];
    for (const [, action, version] of used) {
      if (action!.startsWith('./')) expect(existsSync(join(PROJECT, action!, 'action.yml'))).toBe(true);
      else expect([action, version]).toEqual([expect.stringMatching(/@[0-9a-f]{40}$/), expect.any(String)]);
    }
  });

  it('are scripts, steps and files that there are', () => {
    const runs = [...WORKFLOWS, ...ACTIONS].flatMap((file) => runsOf(parse(read(file))));
    const named = runs.flatMap(namesIn);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => !isThere(name))).toEqual([]);
  });

  it('would not be with a wrong name', () => {
    for (const wrong of ['npm run lintt', 'npm test -- typos', 'npm run test:unit -- test/nowhere'])
      expect(namesIn(wrong).every(isThere)).toBe(false);
  });
});

interface Workflow {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly concurrency?: { readonly group: string };
  readonly jobs: Readonly<Record<string, { readonly 'timeout-minutes'?: number }>>;
}

interface Name {
  readonly kind: 'script' | 'step' | 'path';
  readonly name: string;
}

/** What GitHub says against a workflow; with the expressions in it. */
async function faultsOf(content: string): Promise<string[]> {
  const { context, value } = parseWorkflow({ name: 'workflow.yml', content }, new NoOperationTraceWriter());
  if (value) await convertWorkflowTemplate(context, value);
  return context.errors.getErrors().map(({ message }) => message);
}

function workflow(file: string): Workflow {
  return parse(read(file)) as Workflow;
}

/** All `run` of steps, wherever they are. */
function runsOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) =>
    key === 'run' && typeof part === 'string' ? [part] : runsOf(part),
  );
}

/** Scripts of npm, steps of `npm test`, and files that commands name. */
function namesIn(run: string): Name[] {
  const scripts = [...run.matchAll(/npm run (\S+)/g)].map(([, name]) => ({ kind: 'script', name: name! }));
  const steps = [...run.matchAll(/npm test -- (.*)/g)].flatMap(([, names]) =>
    names!.split(' ').map((name) => ({ kind: 'step', name })),
  );
  const paths = [...run.matchAll(/(?:^|[ '])((?:\.ci|test|test-integration|docs|deploy)\/[\w./-]+)/g)];
  return [...scripts, ...steps, ...paths.map(([, name]) => ({ kind: 'path', name: name! }))] as Name[];
}

function isThere({ kind, name }: Name): boolean {
  if (kind === 'script') return SCRIPTS.includes(name);
  return kind === 'step' ? stepsOfTest().includes(name) : existsSync(join(PROJECT, name));
}

/** What `npm test` says there is when it is asked for something else. */
function stepsOfTest(): string[] {
  const { stderr } = spawnSync('node', ['.ci/verify.ts', '?'], { cwd: PROJECT, encoding: 'utf8' });
  return stderr.split('there are: ')[1]!.trim().split(', ');
}

function filesIn(folder: string, end: string): string[] {
  return readdirSync(join(PROJECT, folder)).flatMap((name) =>
    basename(name).endsWith(end) ? [`${folder}/${name}`] : [],
  );
}

function read(file: string): string {
  return readFileSync(join(PROJECT, file), 'utf8');
}
