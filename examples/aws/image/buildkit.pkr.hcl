# An image with BuildKit in it: machines of it serve as soon as they have booted.
#   packer init . && packer build -var region=eu-west-1 -var architecture=amd64 .
# The class then names it: image: {nameFilter: "satellites-buildkit-*-amd64", owners: [self]}
packer {
  required_version = ">= 1.10.0"
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.2.1"
    }
  }
}

variable "region" {
  type = string
}

variable "architecture" {
  type    = string
  default = "amd64"
  validation {
    condition     = contains(["amd64", "arm64"], var.architecture)
    error_message = "The architecture must be amd64 or arm64."
  }
}

variable "subnet_id" {
  type        = string
  default     = null
  description = "Where the instance runs that the image is made of; it must reach the archive. Default: the default VPC's."
}

variable "buildkit_version" {
  type    = string
  default = "0.33.1"
}

variable "buildkit_sha256" {
  type        = map(string)
  description = "Of the release archive, by architecture."
  default = {
    amd64 = "4e044bcd62a0c0bbe6a8c94d73989de2bfe4c04dbc0f9d6021cf96b72cd1d965"
    arm64 = "4e1ba91f139761f249a1fa6c71e632dfdbdafeda416176ecadefbb95225e56c4"
  }
}

data "amazon-parameterstore" "base" {
  region = var.region
  name   = "/aws/service/canonical/ubuntu/server/22.04/stable/current/${var.architecture}/hvm/ebs-gp2/ami-id"
}

source "amazon-ebs" "buildkit" {
  region        = var.region
  subnet_id     = var.subnet_id
  instance_type = var.architecture == "arm64" ? "m7g.medium" : "m7i.large"
  source_ami    = data.amazon-parameterstore.base.value
  ssh_username  = "ubuntu"

  ami_name        = "satellites-buildkit-${var.buildkit_version}-${formatdate("YYYYMMDDhhmmss", timestamp())}-${var.architecture}"
  ami_description = "BuildKit ${var.buildkit_version} on Ubuntu 22.04"

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  tags = {
    Name               = "satellites-buildkit"
    base               = "{{ .SourceAMI }}"
    "buildkit-version" = var.buildkit_version
  }
}

build {
  sources = ["source.amazon-ebs.buildkit"]

  provisioner "shell" {
    script          = "${path.root}/install.sh"
    execute_command = "{{ .Vars }} sudo --preserve-env sh '{{ .Path }}'"
    environment_vars = [
      "ARCHITECTURE=${var.architecture}",
      "BUILDKIT_VERSION=${var.buildkit_version}",
      "BUILDKIT_SHA256=${var.buildkit_sha256[var.architecture]}",
    ]
  }
}
