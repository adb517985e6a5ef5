/**
 * Layering: a folder imports only from lower ranks (DESIGN: kernel 0 ... cli 9); equals never import each other.
 * Each rule below says which folders a folder may see.
 */
const RANKS = [
  ['kernel'],
  ['gen', 'config', 'telemetry', 'security'],
  ['wire'],
  ['log', 'coordination', 'transport'],
  ['catalog', 'partition', 'controller'],
  ['groups', 'observers', 'replicas'],
  ['broker'],
  ['peer', 'gateway', 'admin', 'client'],
  ['node'],
  ['cli'],
];
const rankRules = RANKS.flatMap((folders, rank) =>
  folders.map((folder) => {
    const allowed = [...RANKS.slice(0, rank).flat(), folder].join('|');
    return {
      name: `rank-${folder}`,
      comment: `${folder} (rank ${rank}) may import only lower ranks`,
      severity: 'error',
      from: { path: `^src/${folder}/` },
      to: { path: '^src/', pathNot: `^src/(${allowed})/` },
    };
  }),
);
const only = (name, pkg, folders) => ({
  name: `only-${name}`,
  severity: 'error',
  from: { path: '^src/', pathNot: `^src/(${folders})/` },
  to: { path: `node_modules/${pkg}/` },
});

export default {
  forbidden: [
    ...rankRules,
    {
      name: 'client-sees-only',
      comment: 'the SDK stays small: transport, wire, gen, kernel',
      severity: 'error',
      from: { path: '^src/client/' },
      to: { path: '^src/', pathNot: '^src/(client|transport|wire|gen|kernel)/' },
    },
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    only('quiche', '@matrixai/quic', 'transport/quic'),
    only('etcd3', 'etcd3', 'coordination'),
    only('grpc', '@grpc/grpc-js', 'transport/grpc|peer|gateway/grpc'),
    {
      name: 'real-time-in-one-place',
      comment: 'only kernel/system-clock.ts touches real timers',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(kernel/system-clock|cli/)' },
      to: { path: '^(node:)?timers' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { extensions: ['.ts', '.js'] },
  },
};
