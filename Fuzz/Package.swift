// swift-tools-version: 6.2
// Feeds what strangers can send with inputs that libFuzzer invents. A package of its own, because all that it builds
// is instrumented; see `run` beside this file.

import PackageDescription

let package = Package(
    name: "Fuzz",
    dependencies: [.package(name: "kfacd", path: "..")],
    targets: [
        .executableTarget(
            name: "Fuzz",
            dependencies: [.product(name: "FuzzEntries", package: "kfacd")],
            // The main function is libFuzzer's.
            swiftSettings: [.treatAllWarnings(as: .error), .unsafeFlags(["-parse-as-library"])])
    ]
)
