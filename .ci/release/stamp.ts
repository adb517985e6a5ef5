import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files that name the version, besides npm's own. `base/sluice.yaml` is rendered from the chart. */
export const STAMPED = [
  'deploy/k8s/helm/sluice/Chart.yaml',
  'deploy/k8s/kustomize/base/sluice.yaml',
  'deploy/k8s/kustomize/overlays/production/kustomization.yaml',
] as const;

/** Writes a version in place of another one into {@link STAMPED}. @throws Error for a file that does not name the old one */
export function stamp(root: string, from: string, to: string): void {
  const old = new RegExp(`(?<![\\d.])${from.replaceAll('.', '\\.')}(?![\\d.])`, 'g');
  for (const file of STAMPED) {
    const path = join(root, file);
    const text = readFileSync(path, 'utf8');
    if (text.search(old) < 0) throw new Error(`${file} does not name version ${from}`);
    writeFileSync(path, text.replace(old, to));
  }
}
