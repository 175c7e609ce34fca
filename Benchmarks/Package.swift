// swift-tools-version: 6.2
// Measures kfacd against the machine's limits. A package of its own, so that the daemon has no dependency on it.

import PackageDescription

let package = Package(
    name: "Benchmarks",
    dependencies: [
        .package(name: "kfacd", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
    ],
    targets: [
        .systemLibrary(name: "CPlainBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
        .target(name: "CPlainMerge"),
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                "CPlainBLAS", "CPlainMerge",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "ControlGroups", package: "kfacd"),
                .product(name: "KroneckerFactors", package: "kfacd"),
                .product(name: "Laboratory", package: "kfacd"),
                .product(name: "LinearAlgebra", package: "kfacd"),
                .product(name: "Safetensors", package: "kfacd"),
                .product(name: "Scheduling", package: "kfacd"),
                .product(name: "TaskArithmetic", package: "kfacd"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: [.treatAllWarnings(as: .error)]),
    ]
)
