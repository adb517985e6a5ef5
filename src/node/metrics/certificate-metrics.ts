import type { Metrics } from '../../telemetry/metrics.ts';
import type { CertificateRotation } from '../certificate-rotation.ts';

/** The certificates that clients see. */
export type NodeCertificates = Pick<CertificateRotation, 'notAfterMs' | 'replaced' | 'failed'>;

/** When they end, and whether new ones were taken. */
export function registerCertificates(metrics: Metrics, certificates: NodeCertificates): void {
  metrics.gaugeFrom(
    'sluice_certificate_not_after_seconds',
    'When the certificate of the node ends, Unix time.',
    () => certificates.notAfterMs / 1000,
  );
  metrics.counterFrom(
    'sluice_certificates_replaced_total',
    'Times that new certificates were taken.',
    () => certificates.replaced,
  );
  metrics.counterFrom(
    'sluice_certificate_reloads_failed_total',
    'Times that new certificates could not be used.',
    () => certificates.failed,
  );
}
