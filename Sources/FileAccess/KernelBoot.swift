/// The boot of the kernel that this process runs on.
public enum KernelBoot {
    /// A random identity that the kernel makes when it starts; empty when it cannot be read.
    ///
    /// Processes with the same identity share their page cache, also from containers.
    public static let identity = text("/proc/sys/kernel/random/boot_id")

    private static func text(_ path: String) -> String {
        let text = TextFile.ofKernel(path) ?? ""
        return String(text.prefix { !$0.isWhitespace })
    }
}
