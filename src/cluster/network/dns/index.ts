/** The cluster's DNS. */

export { type ClusterDns, type ClusterDnsOptions, dnsPort, startClusterDns } from './cluster-dns.ts';
