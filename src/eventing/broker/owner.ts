/**
 * Whose a log is, or a place in it. Both are kept under the namespace and name of their object, which survive a move of
 * the platform; the object's uid, and the platform that gave it, tell a namesake from the object itself.
 */
export interface Owner {
  uid: string;
  /** The uid of the namespace kube-system, by which clusters are told apart; absent where it is not known. */
  platform?: string | undefined;
}

export const ownerText = ({ uid, platform }: Owner): string => (platform === undefined ? uid : `${uid} ${platform}`);

export function ownerOf(text: string): Owner {
  const [uid = '', platform] = text.split(' ');
  return platform === undefined ? { uid } : { uid, platform };
}

/**
 * What `now`, who has the name, is to what is kept under it:
 *
 * - `same`: the owner, or the first one;
 * - `replaced`: a namesake that must not get it. The owner was deleted: that was seen, or the same platform gave the
 *   name to another uid, which it does only after a deletion;
 * - `moved`: the owner on another platform, made again from its manifest; nobody has deleted it.
 */
export function claimOf(
  kept: string | undefined,
  now: Owner,
  isDeleted: (uid: string) => boolean,
): 'same' | 'replaced' | 'moved' {
  if (kept === undefined) return 'same';
  const owner = ownerOf(kept);
  if (owner.uid === now.uid) return 'same';
  if (isDeleted(owner.uid)) return 'replaced';
  return isSamePlatform(owner, now.platform) ? 'replaced' : 'moved';
}

/** How `now` writes itself down: what is known of its platform is not forgotten while the API server is away. */
export function ownerTextOf(kept: string | undefined, now: Owner): string {
  const owner = kept === undefined ? undefined : ownerOf(kept);
  return ownerText(owner?.uid === now.uid && now.platform === undefined ? owner : now);
}

/** False when either is not known. */
export function isSamePlatform(owner: Owner, platform: string | undefined): boolean {
  return owner.platform !== undefined && owner.platform === platform;
}
