/** Layering by dependency-cruiser, and proof that it looked at the code: zero modules would pass in silence. */
import { spawnSync } from 'node:child_process';

const run = spawnSync(
  'depcruise',
  ['--config', '.config/dependency-cruiser.js', '--output-type', 'json', 'src'],
  {
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  },
);
interface Report {
  readonly summary: {
    readonly totalCruised: number;
    readonly totalDependenciesCruised: number;
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string; readonly severity: string };
    }[];
  };
}
if (run.error !== undefined || run.stdout === '') {
  console.error(`dependency-cruiser did not run: ${run.error?.message ?? run.stderr}`);
  process.exit(1);
}
const { summary } = JSON.parse(run.stdout) as Report;
for (const v of summary.violations) console.error(`${v.rule.severity} ${v.rule.name}: ${v.from} → ${v.to}`);
console.log(
  `${summary.totalCruised} modules, ${summary.totalDependenciesCruised} dependencies, ${summary.violations.length} violations`,
);
process.exit(
  summary.totalCruised > 20 && summary.totalDependenciesCruised > 20 && summary.violations.length === 0
    ? 0
    : 1,
);
