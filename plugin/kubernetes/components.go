// SPDX-License-Identifier: Apache-2.0

package kubernetes

// masters is the group that may do everything. The API server lets no one sign a
// certificate for it (admission plugin CertificateSubjectRestriction).
const masters = "system:masters"

// The distributions, as headings of documentation.
const (
	upstream  = "Kubernetes and kubeadm"
	k3s       = "k3s"
	rke2      = "RKE2"
	k0s       = "k0s"
	talos     = "Talos"
	openShift = "OpenShift"
	eks       = "Amazon EKS"
	gke       = "Google GKE"
	aks       = "Azure AKS"
	clouds    = "Cloud providers' controllers"
)

// Where rows are from.
const (
	fromUpstream  = "https://github.com/kubernetes/kubernetes/blob/master/plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go"
	fromUsers     = "https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apiserver/pkg/authentication/user/user.go"
	fromNodes     = "https://kubernetes.io/docs/reference/access-authn-authz/node/"
	fromBootstrap = "https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/"
	fromK3s       = "https://github.com/k3s-io/k3s/blob/master/pkg/daemons/control/deps/deps.go"
	fromK0s       = "https://github.com/k0sproject/k0s/blob/main/pkg/component/controller/certificates.go"
	fromTalos     = "https://github.com/siderolabs/talos/blob/main/pkg/machinery/constants/constants.go"
	fromOpenShift = "https://github.com/openshift/cluster-kube-apiserver-operator/blob/master/pkg/operator/certrotationcontroller/certrotationcontroller.go"
	fromOperators = "https://docs.openshift.com/container-platform/latest/operators/operator-reference.html"
	fromEKS       = "https://docs.aws.amazon.com/eks/latest/userguide/default-roles-users.html"
	fromGKE       = "https://cloud.google.com/kubernetes-engine/docs/how-to/audit-logging"
	fromAKS       = "https://learn.microsoft.com/en-us/azure/aks/deployment-safeguards"
	fromVPCCNI    = "https://github.com/aws/amazon-vpc-cni-k8s/blob/master/config/master/aws-k8s-cni.yaml"
	fromKubelet   = "https://github.com/virtual-kubelet/azure-aci/blob/master/charts/virtual-kubelet/templates/clusterrole.yaml"
	fromCCM       = "https://github.com/kubernetes/cloud-provider-openstack/blob/master/manifests/controller-manager/cloud-controller-manager-roles.yaml"
	fromAzureCCM  = "https://github.com/kubernetes-sigs/cloud-provider-azure/blob/master/examples/out-of-tree/cloud-controller-manager.yaml"
	fromCSI       = "https://github.com/kubernetes-csi/external-provisioner/blob/master/deploy/kubernetes/rbac.yaml"
)

// components are the parts of Kubernetes and of its distributions. Who gets a row here
// is excused from rules, so a row says all that is known of it, and gives no duty that
// it does not have. People have none: kubernetes-admin, system:admin and the like are
// whoever has the file.
var components = []Component{
	{
		distribution: upstream, name: "kube-apiserver", users: []string{"system:apiserver"},
		groups: []string{masters}, credential: byUnnamed, local: true, duties: allDuties, source: fromUsers,
	},
	{
		// Some give it a group of its own name.
		distribution: upstream, name: "kube-controller-manager", users: []string{"system:kube-controller-manager"},
		also: []string{"system:kube-controller-manager"}, credential: byCertificate, duties: allDuties, source: fromUsers,
	},
	{
		distribution: upstream, name: "kube-scheduler", users: []string{"system:kube-scheduler"},
		also: []string{"system:kube-scheduler"}, credential: byCertificate, duties: readsConfigMaps | looksAround | changesObjects, source: fromUsers,
	},
	{
		distribution: upstream, name: "kube-proxy", users: []string{"system:kube-proxy"},
		also: []string{"system:node-proxier"}, credential: byCertificate, duties: looksAround, source: fromUsers,
	},
	{
		// What it asks for by name is checked by the API server's node authorizer.
		distribution: upstream, name: "kubelet", users: []string{"system:node:*"},
		groups: []string{"system:nodes"}, also: []string{"system:bootstrappers", "system:node-proxier", "eks:kube-proxy-windows"},
		credential: byCertificate, duties: readsNamed | requestsTokens | looksAround | changesObjects, source: fromNodes,
	},
	{
		distribution: upstream, name: "joining node", users: []string{"system:bootstrap:*"},
		groups: []string{"system:bootstrappers"}, also: []string{"system:bootstrappers:*"},
		credential: byUnnamed, duties: joinsNodes | looksAround, source: fromBootstrap,
	},
	{
		distribution: upstream, name: "controller of all objects", accounts: true, credential: byControllerToken, duties: allDuties, source: fromUpstream,
		users: accountsOf("kube-system",
			"generic-garbage-collector", "namespace-controller", "resourcequota-controller", "storage-version-migrator-controller",
			"legacy-service-account-token-cleaner", "tokens-controller",
		),
	},
	{
		distribution: upstream, name: "controller of volumes", accounts: true, credential: byControllerToken, duties: readsNamed | looksAround | changesObjects, source: fromUpstream,
		users: accountsOf("kube-system",
			"attachdetach-controller", "ephemeral-volume-controller", "expand-controller", "persistent-volume-binder", "pv-protection-controller",
			"pvc-protection-controller", "selinux-warning-controller",
		),
	},
	{
		distribution: upstream, name: "controller of bootstrap tokens",
		users:    accountsOf("kube-system", "bootstrap-signer", "token-cleaner"),
		accounts: true, credential: byControllerToken,
		within: "kube-*", duties: readsSecrets | readsConfigMaps, source: fromUpstream,
	},
	{
		distribution: upstream, name: "controller", accounts: true, credential: byControllerToken, duties: readsConfigMaps | looksAround | changesObjects, source: fromUpstream,
		users: accountsOf("kube-system",
			"certificate-controller", "clusterrole-aggregation-controller", "cronjob-controller", "daemon-set-controller",
			"deployment-controller", "device-taint-eviction-controller", "disruption-controller", "endpoint-controller",
			"endpointslice-controller", "endpointslicemirroring-controller", "horizontal-pod-autoscaler", "job-controller",
			"kube-apiserver-serving-clustertrustbundle-publisher", "node-controller", "pod-garbage-collector", "podcertificaterequestcleaner",
			"replicaset-controller", "replication-controller", "resource-claim-controller", "root-ca-cert-publisher", "route-controller",
			"service-account-controller", "service-cidrs-controller", "service-controller", "statefulset-controller", "taint-eviction-controller",
			"ttl-after-finished-controller", "ttl-controller", "validatingadmissionpolicy-status-controller", "volumeattributesclass-protection-controller",
		),
	},

	{
		distribution: k3s, name: "k3s supervisor", users: []string{"system:k3s-supervisor"},
		groups: []string{masters}, credential: byCertificate, local: true, duties: allDuties, source: fromK3s,
	},
	{
		// Until 2023 the supervisor was who the administrator is.
		distribution: k3s, name: "older supervisor of k3s or RKE2", users: []string{"system:admin"},
		groups: []string{masters}, credential: byCertificate, local: true, duties: watchesSecrets, source: "https://github.com/k3s-io/k3s/pull/7616",
	},
	{
		distribution: k3s, name: "k3s agent", users: []string{"system:k3s-controller"},
		credential: byCertificate, duties: looksAround, source: fromK3s,
	},
	{
		distribution: k3s, name: "k3s cloud controller", users: []string{"k3s-cloud-controller-manager"},
		credential: byCertificate, duties: readsNamed | looksAround | changesObjects, within: "kube-system", source: fromK3s,
	},
	{
		distribution: rke2, name: "RKE2 supervisor", users: []string{"system:rke2-supervisor"},
		groups: []string{masters}, credential: byCertificate, local: true, duties: allDuties, source: fromK3s,
	},
	{
		distribution: rke2, name: "RKE2 agent", users: []string{"system:rke2-controller"},
		credential: byCertificate, duties: looksAround, source: fromK3s,
	},
	{
		distribution: rke2, name: "RKE2 cloud controller", users: []string{"rke2-cloud-controller-manager"},
		credential: byCertificate, duties: readsNamed | looksAround | changesObjects, within: "kube-system", source: fromK3s,
	},
	{
		distribution: k0s, name: "konnectivity server", users: []string{"kubernetes-konnectivity"},
		groups: []string{masters}, credential: byCertificate, local: true, duties: looksAround, source: fromK0s,
	},
	{
		distribution: talos, name: "Talos", users: []string{"talos:admin"},
		groups: []string{masters}, credential: byCertificate, local: true, duties: readsNamed | readsConfigMaps | looksAround | changesObjects, source: fromTalos,
	},

	{
		distribution: openShift, name: "certificate syncer",
		users:  []string{"system:control-plane-node-admin", "system:kube-apiserver-cert-syncer"},
		groups: []string{masters}, credential: byCertificate, local: true, within: "openshift-*",
		duties: readsSecrets | readsConfigMaps | looksAround, source: fromOpenShift,
	},
	{
		distribution: openShift, name: "OpenShift operator", accounts: true, credential: byAccountToken, duties: allDuties, source: fromOperators,
		users: accounts(
			"openshift-apiserver-operator/openshift-apiserver-operator", "openshift-authentication-operator/authentication-operator",
			"openshift-cloud-controller-manager-operator/cluster-cloud-controller-manager",
			"openshift-cluster-storage-operator/cluster-storage-operator", "openshift-cluster-storage-operator/csi-snapshot-controller-operator",
			"openshift-cluster-version/default", "openshift-config-operator/openshift-config-operator", "openshift-console-operator/console-operator",
			"openshift-controller-manager-operator/openshift-controller-manager-operator", "openshift-controller-manager/openshift-controller-manager-sa",
			"openshift-etcd-operator/etcd-operator", "openshift-image-registry/cluster-image-registry-operator",
			"openshift-ingress-operator/ingress-operator", "openshift-insights/operator", "openshift-kube-apiserver-operator/kube-apiserver-operator",
			"openshift-kube-controller-manager-operator/kube-controller-manager-operator",
			"openshift-kube-scheduler-operator/openshift-kube-scheduler-operator",
			"openshift-kube-storage-version-migrator-operator/kube-storage-version-migrator-operator",
			"openshift-kube-storage-version-migrator/kube-storage-version-migrator-sa", "openshift-machine-api/machine-api-controllers",
			"openshift-machine-api/machine-api-operator", "openshift-machine-config-operator/machine-config-controller",
			"openshift-machine-config-operator/machine-config-operator", "openshift-monitoring/cluster-monitoring-operator",
			"openshift-network-operator/cluster-network-operator", "openshift-operator-lifecycle-manager/olm-operator-serviceaccount",
			"openshift-service-ca-operator/service-ca-operator",
		),
	},
	{
		distribution: openShift, name: "OpenShift controller", accounts: true, credential: byControllerToken, duties: allDuties, source: fromOperators,
		users: accountsOf("openshift-infra",
			"build-config-change-controller", "build-controller", "cluster-quota-reconciliation-controller", "default-rolebindings-controller",
			"deployer-controller", "deploymentconfig-controller", "image-import-controller", "image-trigger-controller",
			"namespace-security-allocation-controller", "origin-namespace-controller", "serviceaccount-controller",
			"serviceaccount-pull-secrets-controller", "template-instance-controller", "template-instance-finalizer-controller", "unidling-controller",
		),
	},
	{
		distribution: openShift, name: "OpenShift control plane", accounts: true, credential: byAccountToken,
		duties: readsNamed | readsConfigMaps | looksAround, source: fromOperators,
		users: accounts(
			"openshift-apiserver/openshift-apiserver-sa", "openshift-authentication/oauth-openshift", "openshift-dns-operator/dns-operator",
			"openshift-dns/dns", "openshift-etcd/installer-sa", "openshift-kube-apiserver/check-endpoints", "openshift-kube-apiserver/installer-sa",
			"openshift-kube-apiserver/localhost-recovery-client", "openshift-kube-controller-manager/installer-sa",
			"openshift-kube-controller-manager/localhost-recovery-client", "openshift-kube-scheduler/installer-sa",
			"openshift-kube-scheduler/localhost-recovery-client", "openshift-machine-config-operator/machine-config-daemon",
			"openshift-monitoring/prometheus-adapter", "openshift-oauth-apiserver/oauth-apiserver-sa",
			"openshift-route-controller-manager/route-controller-manager-sa",
		),
	},

	{
		distribution: eks, name: "EKS add-on manager", users: []string{"eks:addon-manager"},
		duties: allDuties &^ requestsTokens, source: fromEKS,
	},
	{
		distribution: eks, name: "EKS storage migrator", users: []string{"eks:kms-storage-migrator"},
		duties: readsSecrets | changesObjects, source: fromEKS,
	},
	{
		distribution: eks, name: "EKS cloud controller", users: []string{"eks:cloud-controller-manager"},
		duties: readsNamed | requestsTokens | looksAround | changesObjects, within: "kube-system", source: fromEKS,
	},
	{
		distribution: eks, name: "EKS control plane",
		users: []string{
			"eks:authenticator", "eks:az-poller", "eks:certificate-controller", "eks:cluster-event-watcher", "eks:coredns-autoscaler",
			"eks:endpoint-controller", "eks:extension-metrics-apiserver", "eks:fargate-manager", "eks:fargate-scheduler", "eks:k8s-metrics",
			"eks:network-policy-controller", "eks:network-webhooks", "eks:node-manager", "eks:nodewatcher", "eks:pod-identity-mutating-webhook",
			"eks:service-operations", "eks:tagging-controller", "eks:vpc-resource-controller",
		},
		duties: readsNamed | readsConfigMaps | looksAround | changesObjects, within: "kube-system", source: fromEKS,
	},
	{
		distribution: eks, name: "EKS bootstrap", users: []string{"eks:cluster-bootstrap"},
		also: []string{masters}, duties: readsNamed | readsConfigMaps | looksAround | changesObjects, within: "kube-system", source: fromEKS,
	},
	{
		distribution: eks, name: "EKS network plugin", accounts: true, credential: byAccountToken, duties: readsNamed | looksAround, source: fromVPCCNI,
		users: accountsOf("kube-system",
			"aws-node",
		),
	},

	{
		// Google's log has no groups.
		distribution: gke, name: "kube-apiserver of GKE", users: []string{"system:apiserver"},
		credential: byUnnamed, local: true, duties: allDuties, source: fromGKE,
	},
	{
		distribution: gke, name: "joining node of GKE", users: []string{"kubelet", "kubelet-bootstrap", "kubelet-nodepool-bootstrap"},
		credential: byUnnamed, duties: joinsNodes, source: fromGKE,
	},
	{
		distribution: gke, name: "GKE service agent", users: []string{"service-*@container-engine-robot.iam.gserviceaccount.com"},
		credential: byUnnamed, duties: readsConfigMaps | looksAround | changesObjects, source: "https://github.com/falcosecurity/plugins/blob/main/plugins/k8saudit-gke/rules/k8s_audit_rules_gke.yaml",
	},
	{
		distribution: gke, name: "GKE add-on manager", users: []string{"system:addon-manager"},
		credential: byUnnamed, duties: allDuties &^ requestsTokens, source: fromGKE,
	},
	{
		distribution: gke, name: "GKE controllers of load balancers and volumes",
		users: []string{
			"system:controller:glbc", "system:l4-lb-controller", "system:l7-lb-controller", "system:l7-lb-controller-neg",
			"system:gke-volume-populator-controller", "system:pd-csi-controller", "system:pdcsi-controller", "system:snapshot-controller",
		},
		credential: byUnnamed, duties: readsNamed | readsConfigMaps | looksAround | changesObjects, source: fromGKE,
	},
	{
		distribution: gke, name: "GKE control plane",
		users: []string{
			"system:cluster-autoscaler", "system:clustermetrics", "system:gcp-controller-manager", "system:gke-*",
			"system:konnectivity-server", "system:kubestore-collector", "system:maintenance-controller",
			"system:managed-certificate-controller", "system:master-prom-to-sd-monitor", "system:metrics-server-nanny",
			"system:node-problem-detector", "system:resource-tracker", "system:vpa-recommender",
		},
		credential: byUnnamed, duties: readsConfigMaps | looksAround | changesObjects, source: fromGKE,
	},

	{
		distribution: aks, name: "AKS control plane", users: []string{"aksService", "acsService", "hcpService"},
		groups: []string{masters}, credential: byCertificate, duties: allDuties, source: fromAKS,
	},
	{
		distribution: aks, name: "AKS virtual node", accounts: true, credential: byAccountToken, duties: readsSecrets | readsConfigMaps | requestsTokens | looksAround | changesObjects, source: fromKubelet,
		users: accountsOf("kube-system",
			"aci-connector-linux",
		),
	},
	{
		distribution: aks, name: "AKS cloud provider", accounts: true, credential: byAccountToken, duties: readsNamed | looksAround | changesObjects, source: fromAzureCCM,
		users: accountsOf("kube-system",
			"azure-cloud-provider", "cloud-node-manager",
		),
	},

	{
		distribution: clouds, name: "cloud controller", users: []string{"system:cloud-controller-manager"},
		also: []string{"system:cloud-controller-manager"}, credential: byCertificate,
		duties: readsSecrets | readsConfigMaps | requestsTokens | looksAround | changesObjects, within: "kube-system", source: fromCCM,
	},
	{
		distribution: clouds, name: "cloud controller", users: accounts("kube-system/cloud-controller-manager", "openshift-cloud-controller-manager/cloud-controller-manager"),
		accounts: true, credential: byAccountToken,
		duties: readsSecrets | readsConfigMaps | requestsTokens | looksAround | changesObjects, within: "kube-system", source: fromCCM,
	},
	{
		distribution: clouds, name: "virtual kubelet", accounts: true, credential: byAccountToken, duties: readsSecrets | readsConfigMaps | requestsTokens | looksAround | changesObjects, source: fromKubelet,
		users: accountsOf("kube-system",
			"virtual-kubelet",
		),
	},
	{
		distribution: clouds, name: "storage driver", accounts: true, credential: byAccountToken, duties: readsNamed | looksAround | changesObjects, source: fromCSI,
		users: accountsOf("kube-system",
			"csi-azuredisk-controller-sa", "csi-azuredisk-node-sa", "csi-azurefile-controller-sa", "csi-azurefile-node-sa",
			"csi-cinder-controller-sa", "ebs-csi-controller-sa", "efs-csi-controller-sa", "pd-csi-controller",
		),
	},
}
