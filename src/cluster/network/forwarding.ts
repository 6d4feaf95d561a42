import { run } from './commands.ts';

/**
 * What keeps pods from reaching anything beyond their host, though all is there: a firewall that drops what it has not
 * heard of, as Docker sets it up. No rule of ours can overrule it, and we change nobody's rules but our own. Undefined
 * when there is nothing, or it cannot be told.
 */
export async function obstacleToForwarding(): Promise<{ what: string; remedy: string } | undefined> {
  const chain = await run(['nft', 'list', 'chain', 'ip', 'filter', 'FORWARD'], '').catch(() => ''); // There is none.
  if (!/hook forward[^\n]*policy drop/.test(chain)) return undefined;
  if (/[io]ifname "kw\*"[^\n]*accept/.test(chain)) return undefined;
  return {
    what: 'a firewall drops what pods send to one another and to the outside (policy DROP of the chain FORWARD)',
    remedy: "let them through: for way in -i -o; do iptables -I FORWARD $way 'kw+' -j ACCEPT; done",
  };
}
