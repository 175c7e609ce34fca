/// A mounted hierarchy of control groups: one line of `/proc/self/mountinfo`.
struct ControlGroupMount: Equatable {
    /// The two versions of the kernel's interface.
    enum Version: Equatable {
        /// One hierarchy with all controllers.
        case unified
        /// One hierarchy for each of some controllers.
        case legacy(controllers: Set<String>)
    }

    let version: Version
    /// The group at the mount point; in containers it need not be the hierarchy's root.
    let root: String
    /// The mount point.
    let mountPoint: String

    /// Reads the mounts of the types `cgroup2` and `cgroup`; names are escaped as proc(5) says.
    static func all(in text: String) -> [ControlGroupMount] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            // The optional fields end with a hyphen; the type, the source and the options follow.
            guard let end = fields.firstIndex(of: "-"), end >= 6, fields.count >= end + 4 else { return nil }
            let version: Version
            switch fields[end + 1] {
            case "cgroup2": version = .unified
            case "cgroup": version = .legacy(controllers: Set(fields[end + 3].split(separator: ",").map(String.init)))
            default: return nil
            }
            return ControlGroupMount(
                version: version, root: unescaped(fields[3]), mountPoint: unescaped(fields[4]))
        }
    }

    /// Whether the group belongs to this hierarchy, and the hierarchy has the controller asked for.
    func holds(_ group: ControlGroupMembership) -> Bool {
        switch version {
        case .unified: group.controllers.isEmpty
        case .legacy(let controllers):
            !group.controllers.isDisjoint(with: controllers) && !controllers.isDisjoint(with: ["cpu", "memory"])
        }
    }

    /// The directories of a group and of its visible ancestors, the group's own first.
    func directories(of group: String) -> [String] {
        var components = Self.components(group)
        let hidden = Self.components(root)
        // A path outside the mounted part has only the mount point itself; a namespace shows such a path with "..".
        if components.starts(with: hidden), !components.contains("..") {
            components.removeFirst(hidden.count)
        } else {
            components = []
        }
        return (0...components.count).reversed().map { count in
            ([mountPoint == "/" ? "" : mountPoint] + components.prefix(count)).joined(separator: "/")
        }
    }

    private static func components(_ path: String) -> [String] {
        path.split(separator: "/").map(String.init)
    }

    /// Decodes backslashes with three octal digits.
    private static func unescaped(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
