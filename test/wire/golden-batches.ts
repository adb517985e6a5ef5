/**
 * Record batches made by hand from the layout in docs/protocol.md with another language's struct packing and another CRC-32C,
 * not by the code under test.
 */
const bytes = (...hex: string[]): Buffer => Buffer.from(hex.join(''), 'hex');

/** 2023-11-14T22:13:20Z, the base timestamp of all of them. */
export const BASE_TIME_MS = 1_700_000_000_000;

const NO_PRODUCER = 'ffffffffffffffffffffffffffff';
const BASE_TIME = '0000018bcfe56800';
const K_VALUE = '18000000026b0a76616c756500';
/** Record 0: no key, `a`. 1: key `k`, no value, 5 ms later. 2: empty key and value, 3 ms earlier. */
const WITH_NULLS = '0e000000010261000e000a02026b01000c000504000000';

export const GOLDEN = {
  /** One record, key `k`, value `value`. */
  plain: bytes(
    '00000000000000000000003effffffff02482a6e81000000000000',
    BASE_TIME,
    BASE_TIME,
    NO_PRODUCER,
    '00000001',
    K_VALUE,
  ),
  nulls: bytes(
    '000000000000000000000048ffffffff02d42ba9dc000000000002',
    BASE_TIME,
    '0000018bcfe56805',
    NO_PRODUCER,
    '00000003',
    WITH_NULLS,
  ),
  /** Headers trace = 01 02, über = null, trace = empty. */
  headers: bytes(
    '000000000000000000000051ffffffff02f04632c6000000000000',
    BASE_TIME,
    BASE_TIME,
    NO_PRODUCER,
    '00000001',
    '3e000000026b0276060a74726163650401020ac3bc626572010a747261636500',
  ),
  /** `plain` from producer 4242, epoch 3, sequence 17. */
  producer: bytes(
    '00000000000000000000003effffffff026e76b230000000000000',
    BASE_TIME,
    BASE_TIME,
    '0000000000001092000300000011',
    '00000001',
    K_VALUE,
  ),
  /** `plain` with base offset 0x123456789a and leader epoch 7. */
  stamped: bytes(
    '000000123456789a0000003e0000000702482a6e81000000000000',
    BASE_TIME,
    BASE_TIME,
    NO_PRODUCER,
    '00000001',
    K_VALUE,
  ),
  /** `plain` at base offset 5, leader epoch 7, append time 99 ms after the base. */
  appendTime: bytes(
    '00000000000000050000003e0000000702cde68b91000800000000',
    BASE_TIME,
    '0000018bcfe56863',
    NO_PRODUCER,
    '00000001',
    K_VALUE,
  ),
  /** Offsets 10 to 14, all records left out. */
  empty: bytes(
    '000000000000000a00000031ffffffff02963ac5f2000000000004',
    BASE_TIME,
    '0000018bcfe56809',
    NO_PRODUCER,
    '00000000',
  ),
  /** Offsets 100 to 104, of which 101 (a = 1) and 103 (b = 2) are there. */
  holes: bytes(
    '000000000000006400000043ffffffff022835d78c000000000004',
    BASE_TIME,
    '0000018bcfe56804',
    NO_PRODUCER,
    '00000002',
    '100002020261023100100006060262023200',
  ),
  /** Two-byte lengths, and a second record 40 days after the first. */
  long: bytes(
    '00000000000000000000008effffffff02354aa63e000000000001',
    BASE_TIME,
    '0000018c9de3c800',
    NO_PRODUCER,
    '00000002',
    '9c01000000026b8c01',
    '78'.repeat(70),
    '0018008080f3df1902026b027900',
  ),
  /** `nulls` compressed by zlib. */
  gzip: bytes(
    '00000000000000000000005bffffffff02e9956533000100000002',
    BASE_TIME,
    '0000018bcfe56805',
    NO_PRODUCER,
    '00000003',
    '1f8b0800000000000203e363606060644a64e063e06262ca6664e0616065010a010014a2836417000000',
  ),
  /** `nulls` compressed by zstd. */
  zstd: bytes(
    '000000000000000000000051ffffffff02e558747f000400000002',
    BASE_TIME,
    '0000018bcfe56805',
    NO_PRODUCER,
    '00000003',
    '28b52ffd2017b90000',
    WITH_NULLS,
  ),
} as const;
