internal import Glibc

/// One descriptor that is kept back, so that peers are refused when the process has no other left.
///
/// Without a descriptor libzmq cannot accept, and says so only by trying again without end. The peers wait, and nobody
/// knows. When this descriptor is freed, libzmq accepts the peers one after the other. Each of them is ended and
/// counted, because no second descriptor is left to watch it.
struct DescriptorReserve: ~Copyable {
    private var descriptor: Int32?
    /// Whether peers still waited without a descriptor at the last look, though the reserve was free.
    private var isStuck = false

    init() { descriptor = Self.spare() }

    deinit { if let descriptor { close(descriptor) } }

    /// Frees the reserve while peers wait and the process has no other descriptor, and takes it back afterwards.
    ///
    /// - Parameter listener: The descriptor where peers arrive.
    /// - Returns: True once if peers wait although the reserve was freed: another part of the process took it.
    mutating func settle(listener: Int32) -> Bool {
        guard Self.hasWaitingPeer(listener) else {
            isStuck = false
            if descriptor == nil { descriptor = Self.spare() }
            return false
        }
        if let other = Self.spare() {
            // libzmq accepts at this moment.
            close(other)
            isStuck = false
            return false
        }
        if let descriptor {
            close(descriptor)
            self.descriptor = nil
            return false
        }
        defer { isStuck = true }
        return !isStuck
    }

    private static func spare() -> Int32? {
        let descriptor = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
        return descriptor < 0 ? nil : descriptor
    }

    private static func hasWaitingPeer(_ listener: Int32) -> Bool {
        var item = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&item, 1, 0) > 0 && item.revents & Int16(POLLIN) != 0
    }
}
