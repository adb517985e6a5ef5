/** Name of the protocol in TLS (ALPN): streams of messages between nodes, each on a connection of its own. */
export const BULK_PROTOCOL = 'sluice-bulk/1';
