// What the kernel says when something is wrong. A pattern (Go's regular expressions) must reach to the end of the newest
// line (https://github.com/kubernetes/node-problem-detector/blob/v1.36.0/pkg/systemlogmonitor/log_buffer.go).
// The texts are the kernel's own: mm/oom_kill.c, kernel/hung_task.c, kernel/watchdog.c, net/core/dev.c, fs/ext4/super.c,
// fs/xfs/xfs_fsops.c, fs/buffer.c, net/netfilter/nf_conntrack_core.c, arch/x86/mm/fault.c.
local event(reason, pattern) = { type: 'temporary', reason: reason, pattern: pattern };
local lasting(condition, reason, pattern) = { type: 'permanent', condition: condition, reason: reason, pattern: pattern };

{
  // Conditions that every node has, and how they read while nothing is wrong. One that turned true stays so until the
  // pod starts anew: the kernel does not say that it is well again.
  conditions: [
    { type: 'KernelDeadlock', reason: 'NoDeadlock', message: 'no program of the container runtime hangs in the kernel' },
    { type: 'ReadonlyFilesystem', reason: 'FilesystemsWritable', message: 'no file system was remounted read-only' },
    { type: 'XfsShutdown', reason: 'XfsRunning', message: 'no XFS file system was shut down' },
  ],
  rules: [
    event('OOMKilling', @'.*Killed process \d+ \(.+\).*'),
    event('TaskHung', @'.*task .+:\d+ blocked for more than \d+ seconds\..*'),
    event('SoftLockup', @'.*soft lockup - CPU#\d+ stuck for .+'),
    event('UnregisterNetDevice', @'.*unregister_netdevice: waiting for .+ to become free\..*'),
    event('KernelOops', @'.*BUG: (kernel NULL pointer dereference|unable to handle).*'),
    event('KernelOops', @'.*(general protection fault|divide error).*'),
    event('ConntrackFull', @'.*nf_conntrack: table full, dropping packet.*'),
    event('Ext4Error', @'.*EXT4-fs error .*'),
    event('Ext4Warning', @'.*EXT4-fs warning .*'),
    event('IOError', @'.*I/O error,? (on )?dev .*'),
    event('MemoryError', @'.*(EDAC .*(CE|UE) .*memory|Hardware Error.*[Mm]emory).*'),
    lasting('KernelDeadlock', 'RuntimeHung', @'.*task (containerd|runc|kubelet)[^:]*:\d+ blocked for more than \d+ seconds\..*'),
    lasting('ReadonlyFilesystem', 'FilesystemReadOnly', @'.*Remounting filesystem read-only.*'),
    lasting('XfsShutdown', 'XfsHasShutDown', @'.*XFS \(.+\): .*([Ss]hutting down filesystem|has been shut down).*'),
  ],
}
