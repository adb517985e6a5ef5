/**
 * Everything that must hold, one step after the other; `npm test` and `.ci/run` call exactly this.
 *
 *     node .ci/verify.ts              all steps
 *     node .ci/verify.ts lint types   only these
 *
 * A static step counts as one test. The vitest steps count their tests; a suite that could not run is a failure. The last line
 * is always `N passed, N failed`.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Outcome {
  readonly passed: number;
  readonly failed: number;
}

interface Step {
  readonly name: string;
  run(): Promise<Outcome>;
}

const scratch = mkdtempSync(join(tmpdir(), 'sluice-verify-'));

/** Runs a shell line with its output shown, and gives its exit code. */
function shell(line: string): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(line, { shell: true, stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code ?? 1));
  });
}

/** A step that is one check: exit code 0 passes. */
function check(name: string, line: string): Step {
  return {
    name,
    run: async () => ((await shell(line)) === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }),
  };
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly numTotalTestSuites: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

/** A vitest project: counts its tests; skipped ones, files that failed to load and runs without tests are failures. */
function vitest(project: string): Step {
  return {
    name: `test:${project}`,
    run: async () => {
      const file = join(scratch, `${project}.json`);
      const line = `vitest run -c .config/vitest.config.ts --project ${project} --reporter=default --reporter=json --outputFile.json=${file}`;
      const code = await shell(line);
      try {
        const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
        const broken = report.testResults.filter(
          (f) => f.status === 'failed' && f.assertionResults.length === 0,
        );
        const skipped = report.numPendingTests + report.numTodoTests;
        const failed = report.numFailedTests + broken.length + skipped;
        const silent = failed === 0 && (code !== 0 || report.numPassedTests === 0) ? 1 : 0;
        return { passed: report.numPassedTests, failed: failed + silent };
      } catch (error) {
        console.error(`test:${project}: no report: ${String(error)}`);
        return { passed: 0, failed: 1 };
      }
    },
  };
}

const STEPS: readonly Step[] = [
  check('types', 'npm run --silent types'),
  check('lint', 'npm run --silent lint'),
  check('layers', 'node .ci/check-layers.ts'),
  check('deadcode', 'npm run --silent deadcode'),
  check('proto', 'buf lint proto'),
  check('generated', 'node .ci/check-generated.ts'),
  check('package', 'node .ci/check-package.ts'),
  vitest('unit'),
  vitest('integration'),
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !STEPS.some((step) => step.name === name));
if (unknown.length > 0) {
  console.error(`unknown step: ${unknown.join(', ')}; there are: ${STEPS.map((s) => s.name).join(', ')}`);
  process.exit(2);
}

let passed = 0;
let failed = 0;
const failures: string[] = [];
for (const step of STEPS) {
  if (wanted.length > 0 && !wanted.includes(step.name)) continue;
  const started = Date.now();
  console.log(`\n── ${step.name}`);
  const outcome = await step.run();
  passed += outcome.passed;
  failed += outcome.failed;
  if (outcome.failed > 0) failures.push(step.name);
  console.log(
    `── ${step.name}: ${outcome.passed} passed, ${outcome.failed} failed, ${((Date.now() - started) / 1000).toFixed(1)} s`,
  );
}
rmSync(scratch, { recursive: true, force: true });
if (failures.length > 0) console.log(`\nfailed: ${failures.join(', ')}`);
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
