import { authenticatedGroup, serviceAccount, type UserInfo } from '../../api/user.ts';

/** Whom the shared watches are: in Kubernetes, too, the controllers' common caches are the manager's own. */
export const controllerManagerUser: UserInfo = {
  name: 'system:kube-controller-manager',
  groups: [authenticatedGroup],
};

/** As whom one of Kubernetes' own controllers writes, by the name that it has there. */
export const kubeController = (name: string): UserInfo => serviceAccount('kube-system', name);
