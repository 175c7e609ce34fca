import Foundation

/// The checkout that this program was built from; its files are found from any directory.
enum Checkout {
    /// The checkout's directory, four levels above this file.
    private static let directory = (0..<4).reduce(URL(fileURLWithPath: #filePath)) { path, _ in
        path.deletingLastPathComponent()
    }

    /// The absolute path of a file or directory in the checkout.
    static func path(_ name: String) -> String { directory.appendingPathComponent(name).path }
}
